"""Join the decisions for the recipients of one message into one answer. Pure.

An MTA asks once about a message, and gets one answer. So one part of the message is answered, and the others leave it:

| part | the MTA |
|---|---|
| deferred | refuses the whole message for now: it tries again, and the answers of filters are kept |
| accepted (the first one) | takes the message |
| accepted with the same changes | takes it, too |
| discarded | deletes these recipients |
| refused, quarantined, on hold, or accepted with other changes | deletes these recipients; the queue gets a copy for them |

The rules decide again about a copy in the queue. If no part is accepted, the door answers for a part that is
quarantined or on hold. If there is no such part, the message is refused for all.
"""

from collections.abc import Sequence

import msgspec

from enqueuer.doors.asking.decision import Action, DoorDecision, PartDecision

__all__ = ["SplitDecision", "most_severe", "split"]

MAIN: tuple[Action, ...] = ("tempfail", "accept", "quarantine", "reject", "discard")
"""The action of the part that is answered: the first that a part has."""
SEVERITY = ("deferred", "rejected", "quarantined", "on_hold", "discarded", "enqueued")


class SplitDecision(msgspec.Struct, frozen=True):
    """The answer, and the recipients for whom the queue gets a copy."""

    decision: DoorDecision
    handed: tuple[bytes, ...] = ()


def split(decisions: Sequence[DoorDecision]) -> SplitDecision:
    """Join the decisions for an MTA that can delete recipients."""
    main = min(decisions, key=lambda each: MAIN.index(each.action))
    parts = _parts(decisions)
    if main.action not in ("accept", "quarantine"):
        return SplitDecision(msgspec.structs.replace(main, parts=parts))
    added = list[bytes]()
    removed = list[bytes]()
    handed = list[bytes]()
    for each in decisions:
        whose = each.parts[0].recipients
        if (each.action, each.fields, each.changes) == (main.action, main.fields, main.changes):
            added += each.recipients
            removed += each.removed
            continue
        removed += whose
        if each.action != "discard":
            handed += whose
    stays = {recipient for part in parts for recipient in part.recipients} - {*removed}
    decision = msgspec.structs.replace(
        main,
        recipients=tuple(each for each in dict.fromkeys(added) if each not in stays),
        removed=tuple(dict.fromkeys(removed)),
        parts=parts,
        reason="; ".join(filter(None, (main.reason, _said(len(handed))))),
    )
    return SplitDecision(decision, tuple(handed))


def most_severe(decisions: Sequence[DoorDecision]) -> DoorDecision:
    """Join the decisions for a client that gets all of them."""
    worst = min(decisions, key=lambda each: SEVERITY.index(each.disposition))
    return msgspec.structs.replace(worst, parts=_parts(decisions))


def _parts(decisions: Sequence[DoorDecision]) -> tuple[PartDecision, ...]:
    return tuple(part for each in decisions for part in each.parts)


def _said(count: int) -> str:
    return f"the queue gets a copy for {count} recipient{'s'[: count != 1]}" if count else ""
