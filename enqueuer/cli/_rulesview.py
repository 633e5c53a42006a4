"""What `enqueuer rules` prints: faults of sentences with a mark below the place, and rules as TOML."""

import json
import tomllib
from typing import TYPE_CHECKING, Any

from enqueuer.queue.message.printable import printable

if TYPE_CHECKING:
    from enqueuer.policy.cgp import PlainRule

__all__ = ["sentence_faults", "table"]

WIDE = 100
"""Characters of rows on one line."""


def sentence_faults(data: bytes, name: str) -> list[str]:
    """Return three lines for each `when` of a config file that cannot be read. What else is wrong with the file is not looked at."""
    from enqueuer.policy.when import WhenError, parse
    from enqueuer.policy.whenfaults import pointed

    text = data.decode("utf-8-sig", "replace")
    found: list[str] = []
    for rule, sentence in _sentences(text):
        try:
            parse(sentence)
        except WhenError as error:
            line, column = _place(text, sentence, error.line, error.column)
            where = f"line {line}, column {column}" if line else f"when: line {error.line}, column {error.column}"
            found.append(f'{printable(name)}: rule "{printable(rule)}": {where}: {error.problem}')
            found += [f"    {each}" for each in pointed(sentence, error.line, error.column)]
    return found


def _sentences(text: str) -> list[tuple[str, str]]:
    """Return name and sentence of each rule that has one."""
    try:
        rules: Any = tomllib.loads(text).get("rules", [])
    except (tomllib.TOMLDecodeError, RecursionError):
        return []
    tables = [each for each in rules if isinstance(each, dict)] if isinstance(rules, list) else []
    return [(str(each.get("name", "")), each["when"]) for each in tables if isinstance(each.get("when"), str)]


def _place(text: str, sentence: str, line: int, column: int) -> tuple[int, int]:
    """Return line and column in the file; (0, 0) if the sentence has escapes there, or is there twice."""
    if not sentence.strip() or text.count(sentence) != 1:
        return 0, 0
    begin = text.index(sentence)
    before = column if line > 1 else begin - text.rfind("\n", 0, begin) - 1 + column
    return text.count("\n", 0, begin) + line, before


def table(rule: "PlainRule") -> str:
    """Return a [[rules]] table of TOML, with an empty line after it."""
    from enqueuer.policy.arrays import to_rows

    lines = ["[[rules]]", f"name = {_quoted(rule.name)}", f"priority = {rule.priority}"]
    if rule.comment:
        lines.append(f"comment = {_quoted(rule.comment)}")
    if rows := to_rows(rule.condition):
        lines.append(f"conditions = {_rows(rows)}")
    lines.append(f"actions = {_rows(rule.actions)}")
    return "\n".join(lines) + "\n"


def _rows(rows: tuple[tuple[str, ...], ...]) -> str:
    written = [f"[{', '.join(map(_quoted, row))}]" for row in rows]
    line = ", ".join(written)
    return f"[{line}]" if len(line) < WIDE else "[\n" + "".join(f"    {each},\n" for each in written) + "]"


def _quoted(text: str) -> str:
    """Write a string of TOML: JSON's escapes are TOML's, too."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
