"""What rules may say but probably do not mean: actions and rules that are never reached, conditions that never hold. Pure.

Only what is certain is named. A rule that is off (priority 0) is not looked at.
"""

import itertools
import re
from collections.abc import Iterator, Sequence
from typing import Protocol

from enqueuer.policy import clock, pictures
from enqueuer.policy.spelling import nearest
from enqueuer.policy.tree import AllOf, Node, Not, Test, tests
from enqueuer.policy.vocabulary import ACTIONS, ALIASES, BY_WORD
from enqueuer.policy.when import print_when
from filterlink.config.units import Size

__all__ = ["CheckedRule", "warnings"]


class CheckedRule(Protocol):
    """The parts of a rule that count. Its condition and its actions are valid."""

    @property
    def name(self) -> str: ...
    @property
    def priority(self) -> int: ...
    @property
    def scope(self) -> str: ...
    @property
    def mode(self) -> str: ...
    @property
    def actions(self) -> tuple[tuple[str, ...], ...]: ...
    @property
    def node(self) -> Node: ...


STABLE = {
    "size",
    "return_path",
    "source",
    "submit_address",
    "client",
    "attachment_name",
    "attachment_type",
    "digest",
    "ambiguous",
    "attempts",
}
"""Data that no rule changes, and that is the same for all recipients."""
HOLDS = ("Hold until", "Hold for")
"""Actions after which a message goes on when it is released."""
CLOCKS = {
    "day": (re.compile("|".join(f"{day[:3]}|{day}" for day in clock.DAYS), re.IGNORECASE), "Sat"),
    "time": (re.compile(r"\d\d:\d\d(:\d\d)?", re.ASCII), "09:00"),
    "date": (re.compile(r"\d\d [a-z]{3} \d{4}( \d\d:\d\d(:\d\d)?)?", re.ASCII | re.IGNORECASE), "04 Dec 2026"),
}
"""The forms that `is` and `in` are compared with, and an example of each."""
LITERAL = "*\\,#"
"""Characters that a parameter does not have if it is compared as it is."""


def warnings(rules: Sequence[CheckedRule]) -> list[str]:
    """Return one line for each problem, in the order of the file."""
    on = sorted((rule for rule in rules if rule.priority), key=lambda rule: -rule.priority)
    found = {rule.name: [*_unreached(rule), *_never_met(rule), *_never_shown(rule)] for rule in on}
    for at, rule in enumerate(on):
        found[rule.name] += [*_hidden(rule, on[:at]), *_never_asked(rule, on[:at])]
    return [f'rule "{rule.name}": {problem}' for rule in rules for problem in found.get(rule.name, ())]


def _unreached(rule: CheckedRule) -> Iterator[str]:
    names = list(map(_action, rule.actions))
    end = next(filter(_is_end, names), None)
    if end is not None and (after := names[names.index(end) + 1 :]):
        yield f'action "{after[0]}" is never reached: "{end}" ends the rule; write it before, or remove it'


def _action(words: Sequence[str]) -> str:
    return ALIASES.get(words[0], words[0])


def _parts(rule: CheckedRule) -> tuple[Node, ...]:
    node = rule.node
    return node.parts if isinstance(node, AllOf) else (node,)


# A rule behind one that always ends first.


def _hidden(rule: CheckedRule, before: Sequence[CheckedRule]) -> Iterator[str]:
    parts = _parts(rule)
    for earlier in before:
        if (end := _end(earlier)) is None:
            continue
        conditions = _parts(earlier)
        if all(each in parts and _stable(each) for each in conditions):
            whom = f"all mail with {print_when(earlier.node)}" if conditions else "all mail"
            yield f'it is never reached: rule "{earlier.name}" before it ends {whom} with "{end}"; give it a higher priority'
            return


def _end(rule: CheckedRule) -> str | None:
    """Return the action with which a rule ends a message for certain if its conditions hold."""
    names = [] if rule.mode == "shadow" else list(map(_action, rule.actions))
    return next(filter(_is_end, names), None)


def _is_end(name: str) -> bool:
    return ACTIONS[name].ends and name not in HOLDS


def _stable(node: Node) -> bool:
    return all(test.data in STABLE for test in tests(node))


# A condition about a filter that was not asked before.


def _never_asked(rule: CheckedRule, before: Sequence[CheckedRule]) -> Iterator[str]:
    asked = {words[1] for each in before if each.mode != "shadow" for words in each.actions if _action(words) == "ExternalFilter"}
    for test in tests(rule.node):
        if test.data in ("verdict", "score") and test.argument not in asked:
            meant = nearest(test.argument, asked)
            hint = f'; did you mean "{meant}"?' if meant else "; give that rule a higher priority than this one"
            yield f'no rule before it asks filter "{test.argument}", so `{print_when(test)}` never holds{hint}'
            return


# Conditions that contradict each other.


def _never_met(rule: CheckedRule) -> Iterator[str]:
    parts = _parts(rule)
    for one, other in itertools.combinations(parts, 2):
        if _contradict(one, other) or _contradict(other, one):
            yield f"it never applies: `{print_when(one)}` and `{print_when(other)}` never hold together" + _cure(one, other)
            return


def _never_shown(rule: CheckedRule) -> Iterator[str]:
    """Warn of a day, time or date in a form that the clock does not have."""
    for test in tests(rule.node):
        kind = BY_WORD[test.data].kind
        if kind not in CLOCKS or test.operation not in ("is", "in"):
            continue
        form, example = CLOCKS[kind]
        for item in pictures.items(test.parameter) if test.operation == "in" else (test.parameter,):
            if not any(mark in item for mark in LITERAL) and not form.fullmatch(item):
                yield f'no {kind} has the form "{item}", so it never fits: write for example "{example}"'


def _cure(one: Node, other: Node) -> str:
    if isinstance(one, Test) and isinstance(other, Test) and one.data in ("time_of_day", "day"):
        return "; write `or` for a span over midnight" if one.data == "time_of_day" else "; the week begins on Monday: write `or`"
    return ""


def _contradict(one: Node, other: Node) -> bool:
    if isinstance(other, Not) and other.part == one:
        return True
    if not (isinstance(one, Test) and isinstance(other, Test)) or (one.data, one.argument) != (other.data, other.argument):
        return False
    kind = BY_WORD[one.data].kind
    if kind in ("size", "number", "time", "day", "date"):
        return _apart(one, other)
    pictures = (one.operation, other.operation) in (("is", "is not"), ("in", "not in")) and one.parameter == other.parameter
    if one.data == "return_path" and one.operation == other.operation == "is":
        plain = not any(mark in each.parameter for each in (one, other) for mark in LITERAL)
        return plain and one.parameter.casefold() != other.parameter.casefold()
    return pictures and one.data in STABLE and one.quantifier == other.quantifier == ""


def _apart(one: Test, other: Test) -> bool:
    """Return whether a number above, or equal to, the first bound is never below the second one."""
    try:
        low = _number(one)
        high = _number(other)
    except ValueError:
        return False
    match one.operation, other.operation:
        case "greater than", "less than":
            return high <= _next(one, low)
        case "is", "less than":
            return high <= low
        case "greater than", "is":
            return high <= low
        case "is", "is":
            return low != high
        case "is", "is not":
            return low == high
    return False


def _next(test: Test, low: tuple[float, ...]) -> tuple[float, ...]:
    """Return the least whole number above; of other kinds the bound itself."""
    return (low[0] + 1,) if test.data in ("size", "attempts") else low


def _number(test: Test) -> tuple[float, ...]:
    """Return the bound. Raises ValueError if it is none, e.g. a picture."""
    match BY_WORD[test.data].kind:
        case "size":
            return (Size.parse(test.parameter),)
        case "time" | "day" | "date" as kind:
            return clock.point(kind, test.parameter)
    return (float(test.parameter),)
