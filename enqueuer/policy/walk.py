"""The walk of a message through the rules. Pure.

`decide` starts from the first rule each time, with the verdicts so far. It returns the next filter to ask, or the outcome. So
a message may stop at any filter, wait for hours, and go on in another process and under changed rules: only the
verdicts are kept. A rule without scope acts on the whole message. A rule of scope "recipient" acts on the recipients for which its
conditions hold; if these are some of them only, the message goes on in two branches, and each ends with its own outcome.
"""

import itertools
from collections.abc import Mapping, Sequence

import msgspec

from enqueuer.policy.actions import Action
from enqueuer.policy.branch import Branch
from enqueuer.policy.conditions import Compiled
from enqueuer.policy.facts import Facts
from enqueuer.policy.outcome import AskFilter, Disposition, RuleOutcome, Ruling
from enqueuer.policy.verdicts import NO_VERDICT
from enqueuer.policy.view import AnswerNeeded, FactsMissing, View
from enqueuer.queue.message.headerlines import text_of
from filterlink.config.settings import OnFailure
from filterlink.protocol.partfacts import FACTS
from filterlink.wire.frames import FilterAnswer

__all__ = ["MAX_OUTCOMES", "CompiledRule", "Rules", "decide", "explain"]

MAX_OUTCOMES = 100
"""Different outcomes of one message. With more it goes to Bad/: each one may be a copy of the message."""
MAX_BRANCHES = 1000
"""Branches of one message. With more it goes to Bad/: each rule is tried for each of them."""


class CompiledRule(msgspec.Struct, frozen=True):
    """One rule that is on."""

    name: str
    condition: Compiled
    actions: tuple[Action, ...]
    marks: tuple[bytes, ...]
    """The mark of each action."""
    text: str
    """Its actions, for people."""
    each_recipient: bool = False
    shadow: bool = False
    on_failure: OnFailure = "defer"
    """What follows if a fact of its condition cannot be found out."""


class Rules(msgspec.Struct, frozen=True):
    """The rules that are on, highest priority first."""

    active: tuple[CompiledRule, ...]


def decide(rules: Rules, facts: Facts, answers: Mapping[str, FilterAnswer], after: bytes = b"") -> AskFilter | Ruling:
    """Say which filter to ask next, or the outcome. `answers` are those already there, by filter name.

    `after`: the mark of the action after which a released message goes on. If no action has it, the walk begins at the start.
    """
    try:
        return _RuleWalk(facts, answers).run(rules, after)
    except AnswerNeeded as needed:
        return AskFilter(needed.filter)


def explain(rules: Rules, facts: Facts, answers: Mapping[str, FilterAnswer], after: bytes = b"") -> tuple[str, ...]:
    """Return the trail of a walk: each rule that was tried, what did not hold with the value seen, and the outcomes."""
    trail: list[str] = []
    walk = _RuleWalk(facts, answers, trail)
    try:
        ruling = walk.run(rules, after)
    except AnswerNeeded as needed:
        return (*trail, f"filter {needed.filter} is asked")
    return (*trail, *(_outcome(each) for each in ruling.outcomes))


def _outcome(outcome: RuleOutcome) -> str:
    whom = "" if outcome.recipients is None else f" for {_some(outcome.recipients)}"
    return f"{outcome.disposition}{whom}" + (f": {outcome.reason}" if outcome.reason else "")


def _some(recipients: Sequence[bytes]) -> str:
    more = f" and {len(recipients) - 3} more" if len(recipients) > 3 else ""
    return ", ".join(text_of(each) for each in recipients[:3]) + more


class _RuleWalk:
    def __init__(self, facts: Facts, answers: Mapping[str, FilterAnswer], trail: list[str] | None = None) -> None:
        self._facts = facts
        self._answers = answers
        self._trail = trail
        module, _, queue = facts.route.rstrip(")").partition("(")
        self._live = [Branch(facts.recipients, module=module, queue=queue)]
        self._ended: list[RuleOutcome] = []
        self._met: list[int] = []
        self._would: list[tuple[str, str]] = []

    def run(self, rules: Rules, after: bytes) -> Ruling:
        first, done = _resume(rules, after)
        for index in range(first, len(rules.active)):
            rule = rules.active[index]
            before = len(self._live)
            for branch in self._live[:]:
                self._try(rule, index, branch, done)
            done = 0
            if before and not self._live:
                break
            if len(self._live) + len(self._ended) > MAX_BRANCHES:
                return Ruling((_too_many(len(self._live) + len(self._ended)),), tuple(self._met), tuple(self._would))
        if len(self._live) == 1 and not self._ended:
            return Ruling((self._live[0].passed(alone=True),), tuple(self._met), tuple(self._would))
        for branch in self._live:
            self._ended.append(branch.passed())
        return Ruling(_merged(self._ended, self._facts), tuple(dict.fromkeys(self._met)), tuple(dict.fromkeys(self._would)))

    def _try(self, rule: CompiledRule, index: int, branch: Branch, done: int) -> None:
        """Try a rule on a branch. `done`: how many of its actions were carried out before."""
        try:
            met = self._meeting(rule, branch)
        except FactsMissing as missing:
            self._missing(rule, branch, missing.answer)
            return
        if met is None:
            return
        self._met.append(index)
        self._note(rule, f"met for {_some(met)}" if len(met) < len(branch.recipients) else "met")
        if rule.shadow:
            self._would.append((rule.name, f"would have done {rule.text} for {_some(met)}"))
            return
        if len(met) < len(branch.recipients):
            branch = branch.split(met)
            self._live.append(branch)
        self._act(branch, rule.actions[done:], self._view(branch, branch.recipients))

    def _act(self, branch: Branch, actions: Sequence[Action], view: View) -> None:
        for act in actions:
            if (end := act(branch, view)) is not None:
                self._ended.append(end)
                self._live.remove(branch)
                return
            view.added = branch.added
            view.module = _place(branch)

    def _meeting(self, rule: CompiledRule, branch: Branch) -> Sequence[bytes] | None:
        """Return the recipients of a branch for which the conditions hold; None if they do not hold. Raises FactsMissing and AnswerNeeded.

        A message of an HTTP client may have no recipients: then it is () if they hold.
        """
        condition = rule.condition
        if rule.each_recipient and condition.by_recipient:
            view = self._view(branch, ())
            met = list[bytes]()
            for recipient in branch.recipients:
                view.recipients = (recipient,)
                if condition.holds(view):
                    met.append(recipient)
            if not met and self._trail is not None:
                view.recipients = branch.recipients[:1]
                self._note(rule, f"not met: {condition.failed(view)}")
            return met or None
        view = self._view(branch, self._facts.all_recipients)
        if condition.holds(view):
            return branch.recipients
        if self._trail is not None:
            self._note(rule, f"not met: {condition.failed(view)}")
        return None

    def _missing(self, rule: CompiledRule, branch: Branch, answer: FilterAnswer) -> None:
        """A worker could not find out the facts of a condition: on_failure of the rule says what follows."""
        disposition = None if rule.shadow else NO_VERDICT[rule.on_failure]
        reason = answer.text or f"the attachments cannot be listed: {answer.kind.upper()}"
        self._note(rule, f"not known: {reason}")
        if disposition is not None:
            self._ended.append(branch.ended(disposition, reason, rule.name, filter=FACTS))
            self._live.remove(branch)

    def _view(self, branch: Branch, recipients: Sequence[bytes]) -> View:
        return View(self._facts, self._answers, recipients, branch.added, _place(branch), branch.asked)

    def _note(self, rule: CompiledRule, text: str) -> None:
        if self._trail is not None:
            self._trail.append(f'rule "{rule.name}": {text}')


def _place(branch: Branch) -> str:
    return f"{branch.module}({branch.queue})" if branch.queue else branch.module


def _resume(rules: Rules, after: bytes) -> tuple[int, int]:
    """Find where the walk begins: the index of a rule, and how many of its actions are done already."""
    if after:
        for index, rule in enumerate(rules.active):
            if after in rule.marks:
                return index, rule.marks.index(after) + 1
    return 0, 0


# Several outcomes become as few as possible.


def _merged(ended: Sequence[RuleOutcome], facts: Facts) -> tuple[RuleOutcome, ...]:
    """Join the outcomes that differ in their recipients only. Each effect stays in one outcome."""
    if len(ended) == 1:
        return (msgspec.structs.replace(ended[0], recipients=None),)
    groups: dict[RuleOutcome, list[RuleOutcome]] = {}
    for each in ended:
        groups.setdefault(_without_effects(each), []).append(each)
    if len(groups) > MAX_OUTCOMES:
        return (_too_many(len(groups)),)
    order = {recipient: at for at, recipient in enumerate(facts.recipients)}
    found = [_joined(alike, order) for alike in groups.values()]
    if len(found) == 1 or all(each.disposition is Disposition.DEFERRED for each in found):
        return (msgspec.structs.replace(found[0], recipients=None),)
    return _with_each_effect_once(found)


def _too_many(count: int) -> RuleOutcome:
    reason = f"the rules give {count} different outcomes for its recipients; at most {MAX_OUTCOMES} are possible"
    return RuleOutcome(Disposition.BAD, reason)


EFFECTS = ("routes", "copies", "letters", "remembered", "texts", "done")
NO_EFFECTS = dict.fromkeys(EFFECTS, ())


def _without_effects(outcome: RuleOutcome) -> RuleOutcome:
    """Return what decides whether two outcomes are one."""
    passed = {"rule": ""} if outcome.disposition is Disposition.ENQUEUED else {}
    return msgspec.structs.replace(outcome, recipients=(), **passed, **NO_EFFECTS)


def _joined(alike: Sequence[RuleOutcome], order: Mapping[bytes, int]) -> RuleOutcome:
    """Return one outcome with all recipients and effects."""
    whose = sorted(itertools.chain.from_iterable(each.recipients or () for each in alike), key=order.__getitem__)
    effects = {name: tuple(dict.fromkeys(itertools.chain.from_iterable(getattr(each, name) for each in alike))) for name in EFFECTS}
    return msgspec.structs.replace(alike[0], recipients=tuple(whose), **effects)


def _with_each_effect_once(outcomes: Sequence[RuleOutcome]) -> tuple[RuleOutcome, ...]:
    """Leave each effect to the first outcome that has it. Deferred ones have none now. All note what was done, also by others."""
    known: dict[str, set[object]] = {name: set() for name in EFFECTS}
    done = tuple(dict.fromkeys(mark for each in outcomes for mark in each.done))
    found = list[RuleOutcome]()
    for each in outcomes:
        deferred = each.disposition is Disposition.DEFERRED
        changes: dict[str, object] = {name: () if deferred else _new(getattr(each, name), known[name]) for name in EFFECTS}
        found.append(msgspec.structs.replace(each, **(changes | {"done": done})))
    return tuple(found)


def _new(effects: Sequence[object], known: set[object]) -> tuple[object, ...]:
    fresh = tuple(each for each in dict.fromkeys(effects) if each not in known)
    known.update(fresh)
    return fresh
