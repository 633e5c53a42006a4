"""Decide what a door answers about a message, by the verdict table. Pure.

| cause | when | the MTA |
|---|---|---|
| passed | no filter and no rule stops the message | takes it, with the added fields and recipients |
| caught | a filter answers ERROR | by on_caught of the door: refuses it with 550 5.7.1, puts it on hold, or drops it |
| dropped | a filter answers DISCARD, or a rule has the action Discard | takes it and drops it |
| refused | a filter answers REJECTED: not now | refuses it for now, 451 4.7.1 |
| failed | a filter gives no answer, and its on_failure is "defer" | by on_failure of the door: 451 4.7.1, takes it, puts it on hold |
| kept | a filter gives no answer, and its on_failure is "quarantine" | puts it on hold |
| turned away | a filter gives no answer, and its on_failure is "reject" | refuses it for now, 451 4.7.1: the fault is ours |
| loop | too many Received fields | refuses it with 554 5.4.6 |
| late | no outcome within answer_within | by on_late of the door: 451 4.7.1, takes it, puts it on hold |
| trouble | its file cannot be written, or another fault of ours | by on_failure of the door: 451 4.3.0, takes it, puts it on hold |

A fault of ours is never a 5xx.
"""

import enum
import re
from collections.abc import Mapping
from typing import Literal

import msgspec

from enqueuer.config.doors import Door
from enqueuer.log.facts import Verdicts
from enqueuer.policy.rules import Disposition, RuleOutcome
from filterlink.wire.frames import AnswerKind

__all__ = ["Action", "Cause", "DoorDecision", "cause_of", "decided"]

Action = Literal["accept", "reject", "tempfail", "discard", "quarantine"]
"""What the MTA does: take the message, refuse it for good (5xx), refuse it for now (4xx), take and drop it, or put it on hold."""
MAX_TEXT = 1000
"""Characters of a text for an MTA."""
_PRIVATE = re.compile(r"/|\b\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}\b|::|localhost")
"""Matches a part of a path or of an IP address."""
RETRY_AFTER = 60
"""Seconds after which a client should try again. MTAs have times of their own."""


class DoorDecision(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of one message."""

    id: int
    """The id in Asked/ and in the log."""
    action: Action
    disposition: str
    """The engine's word: enqueued, rejected, deferred, discarded or quarantined."""
    status: str = ""
    """Of reject and tempfail: the SMTP code and the enhanced one, "550 5.7.1"."""
    text: str = ""
    """The reason: for the sender of a refused message, or for the MTA's quarantine. It may have several lines, and any characters."""
    fields: tuple[bytes, ...] = ()
    """Header fields to add on top of the header, newest first, without line ends; folds are LF and a blank or tab. For accept and
    quarantine only.
    """
    recipients: tuple[bytes, ...] = ()
    """Recipients to add."""
    removed: tuple[bytes, ...] = ()
    """Recipients of the message that it does not go to."""
    changes: tuple[tuple[bytes, bytes], ...] = ()
    """Name and new value of header fields whose first one is to be changed, as it is in the header: folds are LF and a blank or tab."""
    verdicts: Verdicts
    """What the filters answered, and the seconds of each."""
    trail: tuple[str, ...] = ()
    """The rules and filters that the message went through, a line each."""
    retry_after: int = 0
    """Of tempfail: seconds after which a client should try again; 0 for all other actions."""
    reason: str = ""
    """The reason for the log. It may have details that strangers must not read."""


class Cause(enum.StrEnum):
    """Why a message gets its answer: the rows of the table."""

    PASSED = "passed"
    CAUGHT = "caught"
    DROPPED = "dropped"
    REFUSED = "refused"
    FAILED = "failed"
    KEPT = "kept"
    TURNED_AWAY = "turned away"
    LOOP = "loop"
    LATE = "late"
    TROUBLE = "trouble"


class _Row(msgspec.Struct, frozen=True):
    """A row of the table: an action, or the key of the door that chooses it; the status of a refusal; texts that strangers may read."""

    action: str
    status: str = ""
    text: str = ""
    """The text for strangers; "" = the reason itself."""
    instead: str = ""
    """The text for strangers if the reason names a path or an address of ours."""


_TABLE: Mapping[Cause, _Row] = {
    Cause.PASSED: _Row("accept"),
    Cause.CAUGHT: _Row("on_caught", "550 5.7.1"),
    Cause.DROPPED: _Row("discard"),
    Cause.REFUSED: _Row("tempfail", "451 4.7.1", instead="{filter} does not take the message now, try again later"),
    Cause.FAILED: _Row("on_failure", "451 4.7.1", "{filter} cannot scan the message now, try again later"),
    Cause.KEPT: _Row("quarantine", "", "{filter} could not scan the message"),
    Cause.TURNED_AWAY: _Row("tempfail", "451 4.7.1", "{filter} cannot scan the message now, try again later"),
    Cause.LOOP: _Row("reject", "554 5.4.6", "mail loop: too many hops"),
    Cause.LATE: _Row("on_late", "451 4.7.1", "{filter} has not scanned the message yet, try again later"),
    Cause.TROUBLE: _Row("on_failure", "451 4.3.0", "the message cannot be scanned now, try again later"),
}
_CHOICES: Mapping[str, Action] = {
    "defer": "tempfail",
    "pass": "accept",
    "quarantine": "quarantine",
    "reject": "reject",
    "discard": "discard",
}
"""Words of the config file -> actions."""
_DISPOSITIONS: Mapping[Action, Disposition] = {
    "accept": Disposition.ENQUEUED,
    "reject": Disposition.REJECTED,
    "tempfail": Disposition.DEFERRED,
    "discard": Disposition.DISCARDED,
    "quarantine": Disposition.QUARANTINED,
}


def cause_of(result: RuleOutcome, verdicts: Verdicts) -> Cause:
    """Return the row for the result of the rules."""
    answer = verdicts.answers.get(result.filter)
    match result.disposition:
        case Disposition.ENQUEUED:
            return Cause.PASSED
        case Disposition.DISCARDED:
            return Cause.DROPPED
        case Disposition.QUARANTINED:
            return Cause.CAUGHT if answer is not None and answer.kind is AnswerKind.ERROR else Cause.KEPT
        case Disposition.REJECTED:
            return Cause.TURNED_AWAY
        case Disposition.DEFERRED if answer is not None and answer.kind is AnswerKind.REJECTED:
            return Cause.REFUSED
        case Disposition.DEFERRED:
            return Cause.FAILED
    return Cause.TROUBLE


def decided(cause: Cause, door: Door, id: int, result: RuleOutcome, verdicts: Verdicts, recipients: tuple[bytes, ...] = ()) -> DoorDecision:
    """Return the decision for a row of the table. `recipients`: those to add if the MTA takes the message or puts it on hold."""
    row = _TABLE[cause]
    action = _CHOICES[getattr(door, row.action)] if row.action.startswith("on_") else _as_action(row.action)
    goes_on = action in ("accept", "quarantine")
    return DoorDecision(
        id=id,
        action=action,
        disposition=str(_DISPOSITIONS[action]),
        status=row.status if action in ("reject", "tempfail") else "",
        text="" if action == "accept" else _text(row, id, result),
        fields=result.fields if goes_on else (),
        recipients=recipients if goes_on else (),
        verdicts=verdicts,
        trail=_trail(result, verdicts),
        retry_after=RETRY_AFTER if action == "tempfail" else 0,
        reason=result.reason if cause is not Cause.PASSED or not result.reason else f"passed: {result.reason}",
    )


def _as_action(word: str) -> Action:
    return next(action for action in _DISPOSITIONS if action == word)


def _text(row: _Row, id: int, result: RuleOutcome) -> str:
    """Return the reason for an MTA, with the filter's name and the id. The administrator finds both in our log."""
    public = row.text or (row.instead if _PRIVATE.search(result.reason[:MAX_TEXT]) else "")
    if public:
        return f"{public.format(filter=result.filter or 'a filter')} (id {id})"
    name = f"{result.filter}, " if result.filter else ""
    return f"{result.reason[:MAX_TEXT].rstrip()} ({name}id {id})"


def _trail(result: RuleOutcome, verdicts: Verdicts) -> tuple[str, ...]:
    answers = tuple(f"{name}: {answer.kind.upper()} {answer.text}".rstrip() for name, answer in verdicts.answers.items())
    return (*answers, f'rule "{result.rule}": {result.disposition}') if result.rule else (*answers, str(result.disposition))
