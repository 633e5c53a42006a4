"""Keys of a config file changed in its text, with its comments and its order kept. Pure.

What comes out was read again and compared: nothing but these keys differs, and the engine can take it.
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
    """The text with other `processors` (None: as they are), `max_in_flight` by filter, and for a trial other programs and log level.

    Raises ConfigError where the engine could not take what comes of it.
    """
    document = tomlkit.parse(text)
    engine: Any = document.setdefault("enqueuer", tomlkit.table())
    if processors is not None:
        _set(engine, "processors", processors)
    if log_level:
        _set(engine, "log_level", log_level)
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
    """Only where it differs: what is a default and not written stays so."""
    if key not in table or table[key] != value:
        table[key] = value
