"""Server-Wide Rules: which filters scan a message, and what follows from their verdicts. Pure.

`decide` starts from the first rule each time, with the verdicts so far. It returns the next filter to ask, or the outcome. So
a message may stop at any filter, wait for hours, and go on in another process and under changed rules: only the
verdicts are kept. Conditions are functions compiled once from the file; a new one is one more line in CONDITIONS.
"""

import enum
import hashlib
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from typing import Literal, Protocol, TypeVar

import msgspec

from filterlink.config.settings import Filter, OnFailure
from filterlink.config.units import Size
from filterlink.wire.frames import AnswerKind, FilterAnswer

__all__ = ["AskFilter", "Disposition", "Facts", "Rule", "RuleOutcome", "Rules", "compile", "decide", "mark"]


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One [[rules]] table."""

    name: str
    priority: int = 5
    """0 switches the rule off. Higher ones go first, equal ones in the order of the file."""
    conditions: tuple[tuple[str, ...], ...] = ()
    """All of them must hold; none means every message."""
    on_failure: Literal["", "defer", "pass", "quarantine", "reject"] = ""
    """What follows if a filter that this rule asks gives no answer; "" = the filter's own on_failure."""
    actions: tuple[tuple[str, ...], ...]

    def __post_init__(self) -> None:
        if not self.name.strip() or not self.name.isprintable() or len(self.name.encode()) > 100:
            raise ValueError(f"name = {self.name!r}: give the rule a name of 1 to 100 printable characters")
        if not 0 <= self.priority <= 1000:
            raise ValueError(f"priority = {self.priority}: write a number from 0 (off) to 1000 (first)")


class Disposition(enum.StrEnum):
    """How a message ends, or that it waits: the words of the log and of the totals."""

    ENQUEUED = "enqueued"
    DISCARDED = "discarded"
    QUARANTINED = "quarantined"
    REJECTED = "rejected"
    DEFERRED = "deferred"
    BAD = "bad"


class Facts(msgspec.Struct, frozen=True):
    """What conditions may ask about."""

    size: int
    """Bytes of the message without its envelope."""
    sender: bytes
    recipients: int


class AskFilter(msgspec.Struct, frozen=True):
    """The verdict of this filter is needed next."""

    filter: str


class RuleOutcome(msgspec.Struct, frozen=True):
    """The outcome: what to do with the message, and why."""

    disposition: Disposition
    reason: str = ""
    filter: str = ""
    """The filter whose verdict decided; empty if a rule did, or nothing stopped the message."""
    rule: str = ""
    """The rule that ended it; empty if the message went through all rules."""
    fields: tuple[bytes, ...] = ()
    """Header fields to add on top of the header, newest first."""
    routes: tuple[bytes, ...] = ()
    """Recipients to add."""
    copies: tuple[tuple[str, bytes], ...] = ()
    """Separate copies: the filter that asks for the copy, and the address."""


Condition = Callable[[Facts], bool]
Made = TypeVar("Made")


class _Progress(msgspec.Struct):
    """What one walk through the rules has collected."""

    verdicts: Mapping[str, FilterAnswer]
    rule: str = ""
    fields: tuple[bytes, ...] = ()
    routes: tuple[bytes, ...] = ()
    copies: tuple[tuple[str, bytes], ...] = ()
    seen: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    """Filters that could not scan and were skipped: the reason of an enqueued message."""


Action = Callable[[_Progress], AskFilter | RuleOutcome | None]
"""None: go on."""


class _Compiled(msgspec.Struct, frozen=True):
    name: str
    conditions: tuple[Condition, ...]
    actions: tuple[Action, ...]
    marks: tuple[bytes, ...]
    """The mark of each action."""


class Rules(msgspec.Struct, frozen=True):
    """The rules that are on, highest priority first."""

    active: tuple[_Compiled, ...]


class _Source(Protocol):
    @property
    def rules(self) -> tuple[Rule, ...]: ...

    @property
    def filters(self) -> tuple[Filter, ...]: ...


def mark(rule: str, filter: str) -> bytes:
    """Return the 8 hex digits in the O line of a released message: it goes on after this filter's action in this rule."""
    return hashlib.sha256(f"{rule}\n{filter}".encode()).hexdigest()[:8].encode()


def decide(rules: Rules, facts: Facts, verdicts: Mapping[str, FilterAnswer], after: bytes = b"") -> AskFilter | RuleOutcome:
    """Say which filter to ask next, or the outcome. `verdicts` are those already there, by filter name.

    `after`: the mark of the action after which a released message goes on. If no action has it, the walk begins at the start.
    """
    progress = _Progress(verdicts)
    first, done = _resume(rules, after)
    for rule in rules.active[first:]:
        if all(holds(facts) for holds in rule.conditions):
            progress.rule = rule.name
            for act in rule.actions[done:]:
                if (end := act(progress)) is not None:
                    return end
        done = 0
    return _passed(progress)


def _resume(rules: Rules, after: bytes) -> tuple[int, int]:
    """Find where the walk begins: the index of a rule, and how many of its actions are done already."""
    if after:
        for index, rule in enumerate(rules.active):
            if after in rule.marks:
                return index, rule.marks.index(after) + 1
    return 0, 0


def _passed(progress: _Progress, rule: str = "") -> RuleOutcome:
    reason = "; ".join(progress.notes)
    return RuleOutcome(Disposition.ENQUEUED, reason, rule=rule, fields=progress.fields, routes=progress.routes, copies=progress.copies)


def compile(config: _Source) -> Rules:
    """Compile the file's tables for decide(). Raises ValueError with rule and cure; rules that are off are checked too."""
    filters = {filter.name: filter for filter in config.filters}
    compiled = [_compile(rule, filters) for rule in config.rules]
    order = sorted((n for n, rule in enumerate(config.rules) if rule.priority), key=lambda n: (-config.rules[n].priority, n))
    return Rules(tuple(compiled[n] for n in order))


def _compile(rule: Rule, filters: Mapping[str, Filter]) -> _Compiled:
    if rule.on_failure:  # this rule's on_failure replaces that of the filters
        filters = {name: msgspec.structs.replace(filter, on_failure=rule.on_failure) for name, filter in filters.items()}
    try:
        conditions = tuple(_make("condition", line, CONDITIONS) for line in rule.conditions)
        actions = tuple(_make("action", line, ACTIONS, filters) for line in rule.actions)
    except ValueError as error:
        raise ValueError(f'rule "{rule.name}": {error}') from None
    marks = tuple(mark(rule.name, line[1] if line[0] == "ExternalFilter" else "") for line in rule.actions)
    return _Compiled(rule.name, conditions, actions, marks)


def _make(what: str, line: Sequence[str], table: Mapping[str, Callable[..., Made]], *context: object) -> Made:
    name = line[0] if line else ""
    if name not in table:
        close = get_close_matches(name, table, 1)
        raise ValueError(
            f'{what} "{name}" is unknown' + (f': did you mean "{close[0]}"?' if close else f"; known {what}s: {_quoted(table)}")
        )
    try:
        return table[name](line[1:], *context)
    except ValueError as error:
        raise ValueError(f'{what} "{name}": {error}') from None


def _quoted(names: Mapping[str, object]) -> str:
    return ", ".join(f'"{name}"' for name in names)


# Conditions: the words after the name -> a function of the facts.


def _message_size(words: Sequence[str]) -> Condition:
    """Compile ["Message Size", "greater than" | "less than", "10K"]: the size without the envelope."""
    if len(words) != 2 or words[0] not in ("greater than", "less than"):
        raise ValueError('write ["Message Size", "greater than", "10K"] or ["Message Size", "less than", "10K"]')
    limit = Size.parse(words[1])
    if words[0] == "greater than":
        return lambda facts: facts.size > limit
    return lambda facts: facts.size < limit


CONDITIONS: Mapping[str, Callable[[Sequence[str]], Condition]] = {"Message Size": _message_size}


# Actions: the words after the name, and the filters there are -> a step of the walk.


def _external_filter(words: Sequence[str], filters: Mapping[str, Filter]) -> Action:
    """Compile ["ExternalFilter", NAME]: ask the filter once, and act on its verdict; a disabled filter does nothing."""
    if len(words) != 1:
        raise ValueError('write ["ExternalFilter", "name of the filter"]')
    if words[0] not in filters:
        known = f"known filters: {_quoted(filters)}" if filters else "add a [[filters]] table with this name"
        raise ValueError(f'no filter is named "{words[0]}"; {known}')
    filter = filters[words[0]]
    return lambda progress: _judge(progress, filter) if filter.enabled else None


def _discard(words: Sequence[str], _filters: Mapping[str, Filter]) -> Action:
    _no_words(words)
    return lambda progress: RuleOutcome(Disposition.DISCARDED, f"rule {progress.rule}", rule=progress.rule)


def _stop(words: Sequence[str], _filters: Mapping[str, Filter]) -> Action:
    _no_words(words)
    return lambda progress: _passed(progress, progress.rule)


def _no_words(words: Sequence[str]) -> None:
    if words:
        raise ValueError(f"takes no parameter: leave out {_quoted(dict.fromkeys(words))}")


ACTIONS: Mapping[str, Callable[[Sequence[str], Mapping[str, Filter]], Action]] = {
    "ExternalFilter": _external_filter,
    "Discard": _discard,
    "Stop Processing": _stop,
}


# Verdicts

VERDICTS: Mapping[AnswerKind, Disposition] = {
    AnswerKind.ERROR: Disposition.QUARANTINED,
    AnswerKind.REJECTED: Disposition.DEFERRED,
    AnswerKind.DISCARD: Disposition.DISCARDED,
}
"""The verdicts that decide by themselves. OK goes on. FAILURE goes on, too, as the protocol requires, unless `failure_passes` is false."""
NO_ANSWER = (AnswerKind.TIMEOUT, AnswerKind.UNAVAILABLE, AnswerKind.INVALID)
NO_VERDICT: Mapping[OnFailure, Disposition | None] = {
    "defer": Disposition.DEFERRED,
    "pass": None,
    "quarantine": Disposition.QUARANTINED,
    "reject": Disposition.REJECTED,
}
"""on_failure: what follows if the filter gave no answer in time, gave none of the protocol, or could not be started. Each rule that asks
it has its own setting.
"""


def _judge(progress: _Progress, filter: Filter) -> AskFilter | RuleOutcome | None:
    verdict = progress.verdicts.get(filter.name)
    if verdict is None:
        return AskFilter(filter.name)
    first = filter.name not in progress.seen
    if first:
        progress.seen += (filter.name,)
        progress.fields = verdict.fields + progress.fields
        progress.routes += verdict.routes
        progress.copies += tuple((filter.name, address) for address in verdict.copies)
    no_verdict = verdict.kind in NO_ANSWER or (verdict.kind is AnswerKind.FAILURE and not filter.failure_passes)
    disposition = NO_VERDICT[filter.on_failure] if no_verdict else VERDICTS.get(verdict.kind)
    reason = verdict.text or f"{filter.name} said {verdict.kind.upper()}"
    if disposition is not None:
        return RuleOutcome(disposition, reason, filter.name, progress.rule, progress.fields)
    if first and verdict.kind is not AnswerKind.OK:
        progress.notes += (f"passed by {filter.name}: {reason}",)
    return None
