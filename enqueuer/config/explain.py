"""What is wrong in a config file, in the file's own words and with the cure: msgspec's complaints translated. Pure.

`tables` says which Struct stands behind which table of the file: "" the whole, "enqueuer.lanes", "filters[]" one of many.
"""

import difflib
import re
import typing
from collections.abc import Mapping
from typing import Any

__all__ = ["explain", "not_toml"]

Tables = Mapping[str, Any]

KINDS = {
    "str": 'text in quotes, e.g. "OUT"',
    "int": "a whole number without quotes",
    "int | str": 'a whole number without quotes, or "auto"',
    "float": "a number without quotes",
    "bool": "true or false without quotes",
    "array": "a list in square brackets",
    "object": "a table",
}
EXAMPLES = {
    "filters": "name it [[filters]], in double brackets",
    "rules": "name it [[rules]], in double brackets",
    "routes": "name it [[routes]], in double brackets",
    "doors": "name it [[doors]], in double brackets",
    "actions": 'write a list of lists, e.g. actions = [["ExternalFilter", "NAME"]]',
    "conditions": 'write a list of lists, e.g. conditions = [["Message Size", "less than", "1M"]]',
    "environment": 'write a list, e.g. environment = ["NAME=value"]',
    "suffixes": 'write a list, e.g. suffixes = [".eml"]',
}
"""Where a list is wanted, by key."""
NOT_TOML = {
    "Illegal character '\\n'": "a quote is not closed on its line",
    "Unterminated string": "a quote is not closed",
    "Cannot overwrite a value": "this key is there twice in its table: leave one out",
    "Cannot declare": "this table is there twice: put all of its keys into one",
    "Cannot mutate immutable": "this table is there twice: put all of its keys into one",
    "Invalid value": "write text in quotes, else a number, true or false",
    "Unclosed array": "a bracket is not closed",
    "Unescaped '\\' in a string": "write two backslashes for one, or single quotes around the text",
    "Expected '=' after a key": "write key = value",
}
"""tomllib's words, or how they begin -> the cure."""
RENAMED = {"hold": "defer"}
"""A value that an older version took -> the word for it now."""
LINE_SHOWN = 60
"""Characters of a line of the file that are quoted."""
REQUIRED = {
    "rules": "write at least rules = [] above the first [table] (no rule: nothing is scanned)",
    "routes": 'write at least [[routes]] with recipient = "*" and to = "OUT"',
}


def explain(text: str, raw: dict[str, Any], tables: Tables) -> str:
    """One line of what msgspec says of the file that `raw` was read from."""
    message, _, place = text.partition(" - at `$")
    path = place.rstrip("`").lstrip(".")
    table, _, key = path.rpartition(".")
    if match := re.fullmatch("Object contains unknown field `(.*)`", message, re.DOTALL):
        return _joined(path, match[1], raw) + _did_you_mean(match[1], _keys(path, tables), tables)
    if match := re.fullmatch("Object missing required field `(.*)`", message):
        return _joined(path, match[1], raw) + f" is missing: {REQUIRED.get(match[1], 'write it, as it has no default')}"
    if message.startswith("Invalid enum value"):
        value = message[19:]
        new = RENAMED.get(value.strip("'"))
        return f"{_joined(table, key, raw)} = {value}: write " + (
            f'"{new}", the new word for it' if new else _choices(tables[_pattern(table)], key)
        )
    if match := re.fullmatch("Expected `(.*)`, got `.*`", message):
        example = EXAMPLES.get(key.partition("[")[0]) if match[1] == "array" else None
        return f"{_joined(table, key, raw)}: {example or 'write ' + KINDS.get(match[1], match[1])}"
    if _pattern(path) in tables:  # raised by a table's own check, whose text begins with the key
        return message if message.startswith("filter ") else _joined(path, message, raw)
    return f"{_joined(table, key, raw)}: {message}"


def not_toml(fault: str, text: str) -> str:
    """One line of what tomllib says of the file with this text: the place, the cure, and the line that it is about."""
    match = re.fullmatch(r"(.*) \(at (?:line (\d+), column (\d+)|end of document)\)", fault, re.DOTALL)
    if match is None:
        return f"not TOML: {fault}"
    cure = next((cure for words, cure in NOT_TOML.items() if match[1].startswith(words)), match[1])
    lines = text.rstrip().splitlines() or [""]
    place, line = (f"line {match[2]}, column {match[3]}", int(match[2])) if match[2] else ("at its end", len(lines))
    return f"not TOML: {place}: {cure}: {lines[min(line, len(lines)) - 1].strip()[:LINE_SHOWN]}"


def _joined(table: str, key: str, raw: dict[str, Any]) -> str:
    """A key as a person would look for it: `spool.rescan`, or `filter "VirusScan": timeout`."""
    match = re.match(r"(filter|rule|door)s\[(\d+)\](.*)", table)
    if match:
        entry = raw[match[1] + "s"][int(match[2])]
        name = entry.get("name") if isinstance(entry, dict) else None
        if name and isinstance(name, str):
            return f'{match[1]} "{name}": {match[3].lstrip(".")}{key}'
    return f"{table}.{key}".lstrip(".")


def _pattern(path: str) -> str:
    return re.sub(r"\d+", "", path)


def _keys(path: str, tables: Tables) -> tuple[str, ...]:
    table = tables.get(_pattern(path))
    return table.__struct_fields__ if table else ()


def _choices(table: type, key: str) -> str:
    """What may stand there: one of some words, or a number or one word."""
    choices = typing.get_args(typing.get_type_hints(table)[key])
    return KINDS["int | str"] if int in choices else "one of " + ", ".join(f'"{choice}"' for choice in choices)


def _did_you_mean(key: str, known: tuple[str, ...], tables: Tables) -> str:
    if close := difflib.get_close_matches(key, known, 1):
        return f": no such key; did you mean {close[0]}?"
    for name, table in tables.items():
        if name and key in table.__struct_fields__:  # a line below the wrong [table]
            return f": no such key here; it belongs below {f'[[{name[:-2]}]]' if name.endswith('[]') else f'[{name}]'}"
    return f": no such key; known keys: {', '.join(known)}"
