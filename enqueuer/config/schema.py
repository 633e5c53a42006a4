"""The config file: bytes -> one frozen Config, or one line that names file, key and cure. Pure.

A file is taken whole or not at all: unknown keys are refused, rules and routes are required, and what one table says of
another (a rule of a filter) is checked here too. Whoever holds a Config needs no check of his own.
"""

import math
import re
import tomllib
from collections.abc import Iterator
from typing import Any, Literal

import msgspec

from enqueuer.config.doors import MAX_DOORS, SCAN_DOOR, Door, ListenAddress
from enqueuer.config.explain import explain, not_toml
from enqueuer.policy import routes, rules
from enqueuer.policy.atdoors import expect_answers
from enqueuer.policy.facts import networks_of, zone_of
from enqueuer.policy.namedlists import NamedLists
from enqueuer.queue.message.printable import printable
from filterlink.config.settings import Filter, LogLevel
from filterlink.config.units import Seconds, Size

__all__ = [
    "FIXED",
    "MAX_DOOR_PROCESSES",
    "MAX_FILE",
    "Config",
    "ConfigError",
    "EngineSettings",
    "LaneSettings",
    "MinFree",
    "RetentionSettings",
    "Spool",
    "changes",
    "judges_anew",
    "load",
]

FIXED = frozenset({"spool.durability"})
"""The keys that a running engine cannot take over: every process would have to change its ways at the same instant."""
MAX_FILE = 1 << 20
"""No config file that a person wrote is larger; more is some other file under its name."""
LINE = 600
"""Characters of an error: the file may quote megabytes."""
SHORTEST = 0.01
"""Seconds of what is repeated after each of its durations: a shorter one would do nothing but repeat it."""
SMALLEST = 1 << 20
"""Bytes of the smallest limit on logs: a smaller one would make a file of every few lines."""
DAY = 86400.0
MAX_DOOR_PROCESSES = 8
"""The first digit of an id of a door is that of its process."""
OURS = (".tmp", ".bad", ".why")
"""Suffixes in the drop folder that mean something else than a message to take."""


class ConfigError(Exception):
    """The file cannot be taken; the text is one line."""


class MinFree(str):
    """How much of the disk stays free, as it was written: "2%" of it, or a size."""

    @classmethod
    def parse(cls, text: object) -> "MinFree":
        """Raises ValueError with the cure."""
        if isinstance(text, str) and re.fullmatch(r"[0-9]{1,2}(\.[0-9]+)?%", text):
            return cls(text)
        try:
            return cls(Size.parse(text))
        except ValueError:
            raise ValueError(f'{text!r} is neither a percentage of the disk nor a size: write "2%" or "5G"') from None

    def of(self, total: int) -> int:
        """How many of `total` bytes must stay free."""
        return math.ceil(total * float(self[:-1]) / 100) if self.endswith("%") else int(self)


# Tables are frozen, since all who hold the Config share them; forbid_unknown_fields: a misspelt key must not mean its default.


def _within(key: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise ValueError(f"{key} = {value}: write a number from {low} to {high}")


def _finite(key: str, value: Seconds) -> None:
    if not SHORTEST <= value < math.inf:
        raise ValueError(f'{key}: write a duration of at least 10ms, e.g. "30s"; it cannot be switched off')


def _size_or_none(key: str, value: Size) -> None:
    if 0 < value < SMALLEST:
        raise ValueError(f'{key} = {value}: write at least "1M", or "0" for no limit')


class LaneSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """[enqueuer.lanes]: large messages never take all processors."""

    large_over: Size = Size(1 << 20)
    large_share: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.large_share <= 1:
            raise ValueError(f"large_share = {self.large_share}: write a number over 0 and at most 1, e.g. 0.5")


class EngineSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """[enqueuer]"""

    processors: int | Literal["auto"] = 4
    log_level: LogLevel = "problems"
    max_attempts: int = 5
    retry_after: Seconds = Seconds(300)
    queue_limit: int = 100_000
    drain_timeout: Seconds = Seconds(20)
    max_hops: int = 50
    networks: tuple[str, ...] = ()
    """Networks and addresses whose clients are `trusted` for rules."""
    time_zone: str = ""
    """For dates and times in rules, as "Europe/Berlin"; "" = that of the machine."""
    reports: Literal["trusted", "never"] = "trusted"
    """trusted: a sender gets a report about a refused message if its client is trusted or authenticated."""
    trace_field: bool = False
    """The file that `init` writes says true. A file of an older version says nothing: an upgrade must not change its mail."""
    door_processes: int = 1
    auto_min: int = 2
    auto_max: int = 32
    auto_idle: Seconds = Seconds(30)
    log_format: Literal["text", "json"] = "text"
    log_file_size: Size = Size(100 << 20)
    lanes: LaneSettings = LaneSettings()

    def __post_init__(self) -> None:
        if self.processors != "auto":
            _within("processors", self.processors, 1, 1000)
        _within("door_processes", self.door_processes, 1, MAX_DOOR_PROCESSES)
        _within("auto_max", self.auto_max, 1, 1000)
        if not 1 <= self.auto_min <= self.auto_max:
            raise ValueError(f"auto_min = {self.auto_min}: write a number from 1 to auto_max, which is {self.auto_max}")
        _finite("auto_idle", self.auto_idle)
        _within("max_attempts", self.max_attempts, 1, 1000)
        _within("max_hops", self.max_hops, 1, 1000)
        _within("queue_limit", self.queue_limit, 1, 100_000_000)
        _finite("retry_after", self.retry_after)
        networks_of(self.networks)
        zone_of(self.time_zone)
        _size_or_none("log_file_size", self.log_file_size)

    @property
    def most_processors(self) -> int:
        return self.auto_max if self.processors == "auto" else self.processors


class Spool(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """[spool]: the drop folder and the disk."""

    suffixes: tuple[str, ...] = (".sub", ".eml")
    rescan: Seconds = Seconds(30)
    durability: Literal["group", "each", "off"] = "group"
    min_free: MinFree = MinFree("2%")
    max_size: Size = Size(256 << 20)

    def __post_init__(self) -> None:
        for suffix in self.suffixes:
            if not re.fullmatch(r"\.[^/\0]{1,31}", suffix) or suffix.endswith(OURS):
                raise ValueError(f'suffixes: {suffix!r}: begin it with a dot, and use none of .tmp, .bad and .why, e.g. ".eml"')
        if not self.suffixes:
            raise ValueError('suffixes is empty, so that no drop would be taken: write [".sub", ".eml"]')
        _finite("rescan", self.rescan)


class RetentionSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """[retention]: how long files are kept."""

    logs: Seconds = Seconds(30 * DAY)
    logs_size: Size = Size(1 << 30)

    def __post_init__(self) -> None:
        if self.logs < DAY:
            raise ValueError('logs: write a duration of at least 1d, e.g. "30d", or "never" to keep all logs')
        _size_or_none("logs_size", self.logs_size)


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole file."""

    enqueuer: EngineSettings = EngineSettings()
    spool: Spool = Spool()
    retention: RetentionSettings = RetentionSettings()
    filters: tuple[Filter, ...] = ()
    rules: tuple[rules.Rule, ...]
    routes: tuple[routes.Route, ...]
    doors: tuple[Door, ...] = ()
    lists: NamedLists = {}
    """Not of the file: the lists of Settings/lists/ that belong to this revision."""

    @property
    def modules(self) -> tuple[str, ...]:
        """Return the modules that routes and rules name, each once."""
        return tuple(dict.fromkeys((*routes.compile(self.routes).modules, *rules.modules(self.rules))))


def load(data: bytes, file: str = "enqueuer.toml", lists: NamedLists | None = None) -> Config:
    """Raises ConfigError with one line: file, key and cure. `lists`: those of Settings/lists/. None: they do not matter to the caller."""
    raw: dict[str, Any] = {}
    try:
        if len(data) > MAX_FILE:
            raise ValueError(f"larger than {MAX_FILE >> 20} MB: this is not a config file")
        raw = tomllib.loads(data.decode("utf-8-sig"))
        if "lists" in raw:
            raise ValueError("lists is not a key of this file: write a list into Settings/lists/NAME.txt, one entry a line")
        return _checked(msgspec.convert(raw, Config, dec_hook=_parse), lists)
    except UnicodeDecodeError as error:
        problem = f"byte {error.start + 1} is not UTF-8: save the file as UTF-8"
    except tomllib.TOMLDecodeError as error:
        problem = not_toml(str(error), data.decode("utf-8-sig"))
    except RecursionError:
        problem = "brackets are nested too deep"
    except msgspec.ValidationError as error:
        problem = explain(str(error), raw, TABLES)
    except ValueError as error:
        problem = str(error)
    raise ConfigError(_one_line(f"{file}: {problem}"))


def changes(old: Config, new: Config) -> list[str]:
    """The keys that differ and that a running engine cannot take over."""
    return [path for path in _differences("", old, new) if path in FIXED]


def judges_anew(old: Config, new: Config) -> frozenset[str]:
    """The filters of `old` that may judge otherwise now, or are asked no more: their own settings differ, or any rule does."""
    if (old.rules, old.lists) != (new.rules, new.lists):
        return frozenset(each.name for each in old.filters)
    return frozenset(each.name for each in old.filters if each not in new.filters)


def _checked(config: Config, lists: NamedLists | None) -> Config:
    """Check what holds between the tables, and add the filters and lists that rules use. Raises ValueError."""
    _unique("filters", [filter.name for filter in config.filters])
    for filter in config.filters:
        if filter.name.startswith("#"):
            raise ValueError(f'filter "{filter.name}": names with # are those of the engine: choose another one')
    _unique("rules", [rule.name for rule in config.rules])
    _unique("doors", [door.name for door in config.doors])
    _expect_one_listener_each(config.doors)
    filters = (*config.filters, *rules.helpers(config.rules))
    lists = dict.fromkeys(rules.list_names(config.rules), ()) if lists is None else lists
    config = msgspec.structs.replace(config, filters=filters, lists=dict(lists))
    rules.compile(config)
    expect_answers(config.rules, [door.name for door in config.doors])
    routes.compile(config.routes)
    return config


def _unique(what: str, names: list[str]) -> None:
    for index, name in enumerate(names):
        if name in names[:index]:
            raise ValueError(f'{what}[{index}].name = "{name}" is there twice: give each its own name')


def _expect_one_listener_each(doors: tuple[Door, ...]) -> None:
    if SCAN_DOOR in (door.name for door in doors):
        raise ValueError(f'doors: the name "{SCAN_DOOR}" is that of the engine\'s own door: choose another one')
    if len(doors) > MAX_DOORS:
        raise ValueError(f"doors: at most {MAX_DOORS} doors, and these are {len(doors)}")
    for index, door in enumerate(doors):
        if twin := next((each.name for each in doors[:index] if each.listen == door.listen), None):
            raise ValueError(f'doors[{index}].listen = "{door.listen}": door "{twin}" listens there: give each its own address')


def _differences(path: str, old: Any, new: Any) -> Iterator[str]:
    if isinstance(old, msgspec.Struct) and type(old) is type(new):
        for key in old.__struct_fields__:
            yield from _differences(f"{path}.{key}".lstrip("."), getattr(old, key), getattr(new, key))
    elif isinstance(old, tuple) and len(old) == len(new) and old and isinstance(old[0], msgspec.Struct):
        for index, pair in enumerate(zip(old, new, strict=True)):
            yield from _differences(f"{path}[{index}]", *pair)
    elif old != new:
        yield path


def _parse(wanted: type, value: object) -> Any:
    """msgspec's hook for the types it does not know."""
    if issubclass(wanted, (Size, Seconds, MinFree, ListenAddress)):
        return wanted.parse(value)
    raise NotImplementedError(wanted)


TABLES: dict[str, Any] = {
    "": Config,
    "enqueuer": EngineSettings,
    "enqueuer.lanes": LaneSettings,
    "spool": Spool,
    "retention": RetentionSettings,
    "filters[]": Filter,
    "rules[]": rules.Rule,
    "routes[]": routes.Route,
    "doors[]": Door,
}


def _one_line(text: str) -> str:
    """With both ends of what is too long: the place, and the cure."""
    line = printable(" ".join(text.split()))
    return line if len(line) <= LINE else f"{line[: LINE // 2]} ... {line[-LINE // 3 :]}"
