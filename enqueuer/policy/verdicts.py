"""What follows from the verdict of a filter that a rule asks. Pure."""

from collections.abc import Mapping

from enqueuer.policy.branch import Branch
from enqueuer.policy.outcome import Copy, Disposition, RuleOutcome, mark
from enqueuer.policy.view import AnswerNeeded, View
from filterlink.config.settings import Filter, OnFailure
from filterlink.wire.frames import AnswerKind, FilterAnswer

__all__ = ["NO_ANSWER", "NO_VERDICT", "VERDICTS", "apply", "disposition_of"]

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


def apply(branch: Branch, view: View, filter: Filter, rule: str) -> RuleOutcome | None:
    """Act on the verdict of a filter; None: the message goes on. Raises AnswerNeeded if there is none yet."""
    verdict = view.answers.get(filter.name)
    if verdict is None:
        raise AnswerNeeded(filter.name)
    first = filter.name not in branch.asked
    if first:
        branch.asked += (filter.name,)
    disposition = disposition_of(verdict, filter)
    reason = verdict.text or f"{filter.name} said {verdict.kind.upper()}"
    if filter.mode == "shadow":
        if first and verdict.kind is not AnswerKind.OK:
            word = disposition or "passed"
            branch.texts += ((rule, f"shadow filter {filter.name} would have decided {word}: {reason[:200]}"),)
        return None
    if first:
        branch.add_fields(verdict.fields)
        _add_recipients(branch, view, filter.name, verdict)
    if disposition is not None:
        return branch.ended(disposition, reason, rule, filter=filter.name)
    if first and verdict.kind is not AnswerKind.OK:
        branch.notes += (f"passed by {filter.name}: {reason}",)
    return None


def _add_recipients(branch: Branch, view: View, filter: str, verdict: FilterAnswer) -> None:
    """Take over ADDROUTE and MIRRORTO, if no earlier part of the message had them."""
    if verdict.routes and (done := mark(filter, "ADDROUTE")) not in view.facts.done:
        branch.routes += verdict.routes
        branch.added_to += (done,)
    if verdict.copies and (done := mark(filter, "MIRRORTO")) not in view.facts.done:
        branch.copies += tuple(Copy(filter, address) for address in verdict.copies)
        branch.done += (done,)


def disposition_of(verdict: FilterAnswer, filter: Filter) -> Disposition | None:
    """Return the disposition that a verdict decides; None: the message goes on."""
    no_verdict = verdict.kind in NO_ANSWER or (verdict.kind is AnswerKind.FAILURE and not filter.failure_passes)
    return NO_VERDICT[filter.on_failure] if no_verdict else VERDICTS.get(verdict.kind)
