"""Say what differs between two revisions of the configuration, in one line of the log. Pure."""

import math
from collections.abc import Iterator
from typing import Any

import msgspec

from enqueuer.config.schema import Config
from enqueuer.queue.message.printable import printable
from filterlink.config.units import Seconds, Size

__all__ = ["MAX_TEXT", "differences"]

MAX_TEXT = 1000
"""Characters of all differences."""
MAX_VALUE = 40
SECRET = ("program", "environment")
"""Keys whose values may have passwords: the line only says that they have changed."""
BY_NAME = {"filters": "filter", "rules": "rule", "doors": "door"}
LONG = ("conditions", "when", "actions")
"""Keys whose values are too long for the line."""
_DURATIONS = ((86400, "d"), (3600, "h"), (60, "m"), (1, "s"))
_SIZES = ((1 << 40, "T"), (1 << 30, "G"), (1 << 20, "M"), (1 << 10, "K"))


def differences(old: Config, new: Config) -> str:
    """Return for example `filters.VirusScan.timeout 2m -> 3m; processors 4 -> 8; rule "scan small ones" added`; "" if nothing differs."""
    text = ""
    found = list(_of_file(old, new))
    for at, each in enumerate(found):
        longer = f"{text}; {each}" if text else each
        if len(longer) > MAX_TEXT:
            return f"{text}; and {len(found) - at} more"
        text = longer
    return text


def _of_file(old: Config, new: Config) -> Iterator[str]:
    for key in old.__struct_fields__:
        was = getattr(old, key)
        now = getattr(new, key)
        if key in BY_NAME:
            yield from _of_list(BY_NAME[key], key, {each.name: each for each in was}, {each.name: each for each in now})
        elif key == "lists":
            for name in sorted(was.keys() | now.keys()):
                if was.get(name) != now.get(name):
                    yield f"list #{name} " + ("added" if name not in was else "changed" if name in now else "removed")
        elif key == "routes":
            yield from _of_list("route", key, {each.recipient: each for each in was}, {each.recipient: each for each in now})
        else:
            yield from _of_table("" if key == "enqueuer" else f"{key}.", was, now)


def _of_list(noun: str, key: str, old: dict[str, Any], new: dict[str, Any]) -> Iterator[str]:
    """Compare the tables of a list by their names."""
    yield from (f"{noun} {_quoted(name)} removed" for name in old if name not in new)
    yield from (f"{noun} {_quoted(name)} added" for name in new if name not in old)
    both = [name for name in old if name in new]
    if both != [name for name in new if name in old]:
        yield f"the order of {key} changed"
    for name in both:
        yield from _of_table(f"{key}.{_short(name)}.", old[name], new[name])


def _of_table(path: str, old: Any, new: Any) -> Iterator[str]:
    for key in old.__struct_fields__:
        was = getattr(old, key)
        now = getattr(new, key)
        if was == now:
            continue
        if isinstance(was, msgspec.Struct) and type(was) is type(now):
            yield from _of_table(f"{path}{key}.", was, now)
        elif key in SECRET or key in LONG:
            yield f"{path}{key} changed"
        else:
            yield f"{path}{key} {_shown(was)} -> {_shown(now)}"


def _shown(value: object) -> str:
    """Return a value as one would write it into the file."""
    match value:
        case bool():
            return str(value).lower()
        case Seconds():
            return _duration(value)
        case Size():
            return _in_units(value, _SIZES) or str(int(value))
        case tuple():
            return _short(f"[{', '.join(map(str, value))}]")
        case "":
            return '""'
        case _:
            return _short(str(value))


def _duration(seconds: float) -> str:
    if seconds == math.inf:
        return "never"
    if seconds == int(seconds):
        return _in_units(int(seconds), _DURATIONS) or "0s"
    return f"{seconds * 1000:g}ms"


def _in_units(value: int, units: tuple[tuple[int, str], ...]) -> str:
    """Return a number in the largest unit of which it is a multiple; "" if there is none."""
    return next((f"{value // size}{unit}" for size, unit in units if value and value % size == 0), "")


def _short(text: str) -> str:
    shown = printable(text)
    return shown if len(shown) <= MAX_VALUE else shown[: MAX_VALUE - 3] + "..."


def _quoted(text: str) -> str:
    return f'"{_short(text)}"'
