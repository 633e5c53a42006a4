"""Change keys of a config file in its text, and keep comments and order. Pure.

The result is read again and compared: only these keys differ, and the file is valid.
"""

from collections.abc import Mapping
from typing import Any

import tomlkit

from enqueuer.config import schema as configs

__all__ = ["edited"]


def edited(
    text: str,
    *,
    processors: int | None = None,
    slots: Mapping[str, int],
    programs: Mapping[str, str] | None = None,
    log_level: str = "",
) -> str:
    """Return the text with other `processors` (None: unchanged), `max_in_flight` by filter, and for a trial other programs and log
    level, and without doors: those of the real engine are in use.

    Raises ConfigError if the result is not valid.
    """
    document = tomlkit.parse(text)
    engine: Any = document.setdefault("enqueuer", tomlkit.table())
    if processors is not None:
        _set(engine, "processors", processors)
    if log_level:
        _set(engine, "log_level", log_level)
    if programs is not None:
        document.pop("doors", None)
    filters: Any = document.get("filters", [])
    for each in filters:
        if each["name"] in slots:
            _set(each, "max_in_flight", slots[each["name"]])
        if programs and each["name"] in programs:
            _set(each, "program", programs[each["name"]])
    changed = tomlkit.dumps(document)
    configs.load(changed.encode())
    return changed


def _set(table: Any, key: str, value: int | str) -> None:
    """Set a key if its value differs: a default that is not written stays so."""
    if key not in table or table[key] != value:
        table[key] = value
