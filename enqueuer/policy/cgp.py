"""Translate rules from and to those of CommuniGate Pro: Settings/Rules.settings. Pure.

    ((priority, name, (conditions), (actions)[, comment]), ...)        condition: (data, operation, parameter); action: (name[, parameter])

A remark names each part that has no counterpart. An imported rule without such a part is switched off (priority 0): without a condition
it would apply to more mail, and without an action it might lose mail. A rule that cannot be exported is left out whole.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from enqueuer.policy import cgpfile
from enqueuer.policy.arrays import NO_OPERATION, name_of, of_rows
from enqueuer.policy.cgpfile import CgpItem, CgpSyntaxError
from enqueuer.policy.pictures import LIST_NAME, items
from enqueuer.policy.spelling import nearest
from enqueuer.policy.tree import ALWAYS, AllOf, AnyOf, Node, Not, Test, all_of, tests
from enqueuer.policy.vocabulary import ACCOUNT_ACTIONS, ACTIONS, ALIASES, BY_WORD
from enqueuer.queue.message.printable import printable

__all__ = ["PlainRule", "Remark", "export_rules", "import_rules"]


class PlainRule(msgspec.Struct, frozen=True):
    """A rule as both sides know it."""

    name: str
    priority: int = 5
    condition: Node = ALWAYS
    actions: tuple[tuple[str, ...], ...] = ()
    comment: str = ""
    on_failure: str = ""
    scope: str = ""
    mode: str = ""


class Remark(NamedTuple):
    """Something that has no counterpart, or means something else there."""

    rule: str
    text: str


HIGHEST = 10
WORDS_OF_PRIORITY = {"highest": HIGHEST, "inactive": 0}
MAX_NAME = 100
"""Bytes of a name."""
MAX_REMARKS = 2000
MAX_ROWS = 1000
"""Conditions, or actions, of a rule."""
REPEATABLE = {"ExternalFilter", "Tag Subject", "Write To Log"}
"""Actions that do the same to a message, once or twice."""
BY_RECIPIENT = ("recipient", "route")
_DOUBTFUL = re.compile(r"\\[*,\\]")


# Import


def import_rules(data: bytes) -> tuple[list[PlainRule], list[Remark]]:
    """Read a file. Raises CgpSyntaxError."""
    top = cgpfile.read(data)
    if top.array is None:
        raise CgpSyntaxError(top.line, "expected an array of rules, ( ... )")
    names: dict[str, int] = {}
    remarks: list[Remark] = []
    rules: list[PlainRule] = []
    for item in top.array:
        rules.append(_import_rule(item, names, remarks))
        if len(remarks) > MAX_REMARKS:
            raise CgpSyntaxError(item.line, f"more than {MAX_REMARKS} words have no counterpart: is this a file of rules?")
    return rules, remarks


def _import_rule(item: CgpItem, names: dict[str, int], remarks: list[Remark]) -> PlainRule:
    parts = item.array
    if parts is None or not 4 <= len(parts) <= 5:
        raise CgpSyntaxError(item.line, "a rule is (priority, name, (conditions), (actions)), and perhaps a comment")
    found: list[str] = []
    name = _name(_text(parts[1], "a name"), item.line, names, found)
    priority = _priority(parts[0])
    conditions = [_import_condition(row, found) for row in _rows(parts[2], "conditions")]
    actions = [_import_action(row, found) for row in _rows(parts[3], "actions")]
    comment = _text(parts[4], "a comment") if len(parts) == 5 else ""
    if ("Redirect To",) in [each[:1] for each in actions if each] and ("Discard",) not in actions:
        found.append('action "Redirect To": CommuniGate Pro also delivers to the first recipients; to do that here: "Mirror to"')
    if priority and (None in conditions or None in actions):
        priority = 0
        found.append("it is switched off (priority = 0), as a part of it is missing")
    remarks += [Remark(name, text) for text in found]
    condition = all_of(each for each in conditions if each is not None)
    return PlainRule(name, priority, condition, tuple(each for each in actions if each is not None), comment)


def _name(text: str, line: int, names: dict[str, int], found: list[str]) -> str:
    """Return a name that we can use, and that no rule before has. `names`: how often each was wanted."""
    name = _cut(printable(text).strip(), MAX_NAME) or f"rule in line {line}"
    while (count := names.get(name, 0)) > 0:
        names[name] = count + 1
        name = _cut(name, MAX_NAME - 10) + f" ({count + 1})"
    if name != text:
        found.append(f'its name was "{printable(text[:MAX_NAME])}"')
    names[name] = 1
    return name


def _cut(text: str, size: int) -> str:
    return text.encode()[:size].decode(errors="ignore")


def _priority(item: CgpItem) -> int:
    text = _text(item, "a priority").removeprefix("#").strip().lower()
    if text in WORDS_OF_PRIORITY:
        return WORDS_OF_PRIORITY[text]
    if not re.fullmatch("[0-9]{1,4}", text) or int(text) > 1000:
        raise CgpSyntaxError(item.line, f'"{printable(text[:20])}" is not a priority: expected a number of 0 to 1000')
    return int(text)


def _text(item: CgpItem, what: str) -> str:
    if item.array is not None:
        raise CgpSyntaxError(item.line, f"expected {what}, and an array is here")
    return item.text


def _rows(item: CgpItem, what: str) -> list[tuple[str, ...]]:
    if item.array is None or len(item.array) > MAX_ROWS:
        raise CgpSyntaxError(item.line, f"expected the array of {what}, at most {MAX_ROWS}")
    rows = list[tuple[str, ...]]()
    for row in item.array:
        if row.array is None or not row.array:
            raise CgpSyntaxError(row.line, f"expected one of the {what}, an array of strings")
        rows.append(tuple(_text(each, "a string") for each in row.array))
    return rows


def _import_condition(row: tuple[str, ...], found: list[str]) -> Node | None:
    try:
        node = of_rows([row])
    except ValueError as error:
        found.append(str(error))
        return None
    for test in tests(node):
        if _DOUBTFUL.search(test.parameter):
            found.append(
                f'condition "{row[0]}": a backslash before `*`, `,` or a backslash makes these literal here: "{test.parameter:.60}"'
            )
        if test.operation in ("in", "not in"):
            found += [_about_list(each[1:]) for each in items(test.parameter) if each.startswith("#")]
    return node


def _about_list(name: str) -> str:
    if not LIST_NAME.fullmatch(name):
        return f'list "#{printable(name[:64])}": names of lists have letters, digits, _ and - only here: choose another one'
    return f'list "#{name}": write its entries into Settings/lists/{name}.txt'


def _import_action(row: tuple[str, ...], found: list[str]) -> tuple[str, ...] | None:
    known = {each.lower(): each for each in (*ACTIONS, *ALIASES)}
    name = known.get(row[0].strip().lower(), row[0].strip())
    name = ALIASES.get(name, name)
    if name not in ACTIONS:
        found.append(_no_action(name))
        return None
    words = row[1:] if row[-1] or len(row) == 1 else row[1:-1]
    if ACTIONS[name].parameter == "list" and words and not words[0].startswith("#"):
        words = (f"#{words[0]}", *words[1:])
    if len(words) > 1:
        found.append(f'action "{name}": it has {len(words)} parameters: {printable(", ".join(words))[:100]}')
        return None
    return (name, *words)


def _no_action(name: str) -> str:
    account = {each.lower(): each for each in ACCOUNT_ACTIONS}
    if (found := account.get(name.lower())) is not None:
        return f'action "{found}" is for account rules only: use "{ACCOUNT_ACTIONS[found]}" instead'
    meant = nearest(name, ACTIONS)
    return f'action "{printable(name[:100])}" is unknown' + (f': did you mean "{meant}"?' if meant else "")


# Export


class _NoCounterpart(ValueError):
    """The rule has no form there."""


def export_rules(rules: Iterable[PlainRule]) -> tuple[str, list[Remark]]:
    """Write a file, and what could not be written."""
    given = list(rules)
    remarks: list[Remark] = []
    if any(rule.priority > HIGHEST for rule in given):
        given.sort(key=lambda rule: -rule.priority)
    rows: list[cgpfile.Value] = []
    for rule in given:
        try:
            rows += _export_rule(rule, remarks)
        except _NoCounterpart as problem:
            remarks.append(Remark(rule.name, f"left out: {problem}"))
    return cgpfile.write(rows) + "\n", remarks


def _export_rule(rule: PlainRule, remarks: list[Remark]) -> list[cgpfile.Value]:
    found: list[str] = []
    parts = rule.condition.parts if isinstance(rule.condition, AnyOf) else (rule.condition,)
    conditions = [[_export_test(test, found) for test in _rows_of(part)] for part in parts]
    actions = [row for words in rule.actions if (row := _export_action(words, found))]
    _expect_same_scope(rule, found)
    if len(parts) > 1 and not _repeatable(rule):
        raise _NoCounterpart("`or`: its actions would be done more than once if several parts hold")
    priority = _exported_priority(rule, found)
    remarks += [Remark(rule.name, text) for text in dict.fromkeys(found)]
    if len(parts) > 1:
        remarks.append(Remark(rule.name, f"`or`: written as {len(parts)} rules"))
    names = [rule.name] if len(parts) == 1 else [f"{rule.name} ({number})" for number in range(1, len(parts) + 1)]
    comment = (rule.comment,) if rule.comment else ()
    return [(str(priority), name, rows, actions, *comment) for name, rows in zip(names, conditions, strict=True)]


def _repeatable(rule: PlainRule) -> bool:
    """Return whether several rules with these actions do no more to one message than one of them does."""
    names = [words[0] for words in rule.actions]
    return any(ACTIONS[name].ends for name in names) or REPEATABLE.issuperset(names)


def _rows_of(part: Node) -> list[Test]:
    parts = part.parts if isinstance(part, AllOf) else (part,)
    wrong = next((each for each in parts if not isinstance(each, Test)), None)
    if wrong is not None:
        raise _NoCounterpart(("`not`" if isinstance(wrong, Not) else "`or` inside of `and`") + " has no form there")
    return [each for each in parts if isinstance(each, Test)]


def _export_test(test: Test, found: list[str]) -> tuple[str, ...]:
    datum = BY_WORD[test.data]
    if datum.ours:
        raise _NoCounterpart(f'condition "{datum.name}" does not exist there')
    if not test.operation:
        return datum.name, NO_OPERATION
    if _DOUBTFUL.search(test.parameter):
        found.append(f'condition "{datum.name}": a backslash protects no character there: "{test.parameter:.60}"')
    if not test.argument:
        return name_of(test), test.operation, test.parameter
    if test.operation in ("is", "is not"):
        return datum.name, test.operation, f"{test.argument}: {test.parameter}"
    pictures = list(items(test.parameter))
    if any(each.startswith("#") for each in pictures):
        raise _NoCounterpart(f'a list with condition "{datum.name}({test.argument})" has no form there')
    return datum.name, test.operation, ",".join(f"{test.argument}: {each}" for each in pictures)


def _export_action(words: tuple[str, ...], found: list[str]) -> tuple[str, ...] | None:
    name = ALIASES.get(words[0], words[0])
    if name == "Write To Log":
        found.append(f'action "{name}": left out')
        return None
    if name not in ACTIONS or ACTIONS[name].ours:
        raise _NoCounterpart(f'action "{name}" does not exist there')
    if any("^Q" in word for word in words[1:]) and ACTIONS[name].parameter in ("text", "fields"):
        found.append(f'action "{name}": the macro ^Q is unknown there')
    return (name, *words[1:])


def _expect_same_scope(rule: PlainRule, found: list[str]) -> None:
    if rule.scope == "recipient":
        if any(test.data in BY_RECIPIENT for test in tests(rule.condition)):
            raise _NoCounterpart('scope = "recipient": a rule acts on the whole message there')
        found.append('scope = "recipient": left out; its conditions do not depend on the recipient')
    if rule.on_failure:
        found.append(f'on_failure = "{rule.on_failure}": left out')


def _exported_priority(rule: PlainRule, found: list[str]) -> int:
    if rule.mode == "shadow":
        found.append('mode = "shadow": written with priority 0, which switches it off')
        return 0
    if rule.priority > HIGHEST:
        found.append(f"priority = {rule.priority}: written as {HIGHEST}; the order of the file keeps it before the others")
    return min(rule.priority, HIGHEST)
