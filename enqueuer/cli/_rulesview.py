"""What `enqueuer rules` prints: faults of sentences with a mark below the place, and rules as TOML."""

import json
import tomllib
from typing import TYPE_CHECKING, Any

from enqueuer.cli._common import fold, printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from enqueuer.policy.cgp import PlainRule
    from enqueuer.policy.rules import Rule

__all__ = ["listing", "sentence_faults", "show", "table"]

WIDE = 100
"""Characters of rows on one line."""


def sentence_faults(data: bytes, name: str) -> list[str]:
    """Return three lines for each `when` of a config file that cannot be read. Other errors of the file are not found."""
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
    return [(str(each.get("name", "")), each["when"]) for each in tables if isinstance(each.get("when"), str) and each["when"]]


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


def listing(rules: "Sequence[Rule]", counts: "Mapping[str, int] | None") -> list[dict[str, Any]]:
    """Return the rules in firing order, those that are off last. `counts`: from the engine; None if none runs."""
    from enqueuer.policy.rules import order
    from enqueuer.policy.when import print_when

    on = order(rules)
    found: list[dict[str, Any]] = []
    for at in (*on, *(n for n in range(len(rules)) if n not in set(on))):
        rule = rules[at]
        ends, filters = _ends(rule)
        found.append(
            {
                "name": rule.name,
                "priority": rule.priority,
                "on": rule.priority > 0,
                "when": print_when(rule.node),
                "actions": [list(words) for words in rule.actions],
                "ends": ends,
                "filters": filters,
                "scope": rule.scope,
                "mode": rule.mode,
                "on_failure": rule.on_failure or None,
                "comment": rule.comment,
                "met": counts.get(rule.name) if counts is not None and rule.priority else None,
            }
        )
    return found


def _ends(rule: "Rule") -> tuple[str | None, list[str]]:
    """Return the action that ends the message, and the filters whose verdict may end it."""
    from enqueuer.policy.vocabulary import ACTIONS, ALIASES

    names = [ALIASES.get(words[0], words[0]) for words in rule.actions]
    filters = [words[1] for words, name in zip(rule.actions, names, strict=True) if name == "ExternalFilter"]
    return next((name for name in names if ACTIONS[name].ends), None), filters


def show(rules: "Sequence[Mapping[str, Any]]") -> None:
    """Print a listing for people: a block for each rule."""
    on = [rule for rule in rules if rule["on"]]
    for rule in on:
        _show_rule(rule)
    if off := [rule["name"] for rule in rules if not rule["on"]]:
        print(fold(f"off: {printable(', '.join(off))}", 5))
    if not rules:
        print("no rules: mail goes on unscanned")


def _show_rule(rule: "Mapping[str, Any]") -> None:
    shadow = rule["mode"] == "shadow"
    marks = [mark for mark, is_so in (("shadow", shadow), ("for each recipient", rule["scope"] == "recipient")) if is_so]
    met = "" if rule["met"] is None else f", met {rule['met']} times" if rule["met"] != 1 else ", met once"
    notes = f" ({', '.join(marks)})" if marks else ""
    print(fold(f"{rule['priority']:>4}  {printable(rule['name'])}{notes}{met}", 6))
    if rule["comment"]:
        print(fold(f"      # {printable(rule['comment'])}", 8))
    print(fold(f"      when  {printable(rule['when']) or 'always'}", 12))
    for number, words in enumerate(rule["actions"]):
        text = " ".join((words[0], *(f'"{word}"' for word in words[1:])))
        print(fold(f"      {'' if number else 'do':<4}  {printable(text)}", 12))
    print(fold(f"      then  {_then(rule, shadow)}", 12))


def _then(rule: "Mapping[str, Any]", shadow: bool) -> str:
    if shadow:
        return "the next rule: in shadow, the actions are only logged"
    stopped = f"; filter {', '.join(map(printable, rule['filters']))} may end it" if rule["filters"] else ""
    return (f'it ends with "{rule["ends"]}"' if rule["ends"] else "the next rule") + stopped
