"""Decide what a door answers about a message, by the verdict table. Pure.

| cause | when | the MTA |
|---|---|---|
| passed | no filter and no rule stops the message | takes it, with the added fields and recipients |
| caught | a filter answers ERROR | by on_caught of the door: refuses it with 550 5.7.1, puts it on hold, or drops it |
| dropped | a filter answers DISCARD, or a rule has the action Discard | takes it and drops it |
| ruled out | a rule has the action Reject with | refuses it with 550 5.7.1 and the text of the rule |
| set aside | a rule has the action Quarantine | puts it on hold |
| stopped | a rule has the action Hold until or Hold for | puts it on hold |
| refused | a filter answers REJECTED: not now | refuses it for now, 451 4.7.1 |
| failed | a filter gives no answer, and its on_failure is "defer" | by on_failure of the door: 451 4.7.1, takes it, puts it on hold |
| kept | a filter gives no answer, and its on_failure is "quarantine" | puts it on hold |
| turned away | a filter gives no answer, and its on_failure is "reject" | refuses it for now, 451 4.7.1: the fault is ours |
| loop | too many Received fields | refuses it with 554 5.4.6 |
| late | no outcome within answer_within | by on_late of the door: 451 4.7.1, takes it, puts it on hold |
| trouble | its file cannot be written, or another fault of ours | by on_failure of the door: 451 4.3.0, takes it, puts it on hold |
| not handed over | the queue cannot take a copy for some recipients (split.py) | refuses it for now, 451 4.3.0 |

A fault of ours is never a 5xx.
"""

import enum
import re
from collections.abc import Callable, Mapping
from typing import Literal

import msgspec

from enqueuer.config.doors import Door
from enqueuer.log.facts import Verdicts
from enqueuer.policy.rules import Disposition, RuleOutcome
from enqueuer.policy.subjects import insertion, tagged
from enqueuer.queue.message.timestamps import in_headers
from filterlink.wire.frames import AnswerKind

__all__ = ["Action", "AskedContent", "Cause", "DoorDecision", "PartDecision", "cause_of", "decided"]

Action = Literal["accept", "reject", "tempfail", "discard", "quarantine"]
"""What the MTA does: take the message, refuse it for good (5xx), refuse it for now (4xx), take and drop it, or put it on hold."""
MAX_TEXT = 1000
"""Characters of a text for an MTA."""
_PRIVATE = re.compile(r"/|\b\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}\b|::|localhost")
"""Matches a part of a path or of an IP address."""
RETRY_AFTER = 60
"""Seconds after which a client should try again. MTAs have times of their own."""


class AskedContent(msgspec.Struct, frozen=True):
    """What a decision needs of the message."""

    id: int
    recipients: tuple[bytes, ...] = ()
    header: Callable[[], bytes] = lambda: b""
    """Reads the header, for a change of the subject."""


class PartDecision(msgspec.Struct, frozen=True):
    """What follows for some recipients of a message."""

    recipients: tuple[bytes, ...]
    disposition: str
    text: str = ""


class DoorDecision(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of one message."""

    id: int
    """The id in Asked/ and in the log."""
    action: Action
    disposition: str
    """The engine's word: enqueued, rejected, deferred, discarded, quarantined or on_hold."""
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
    parts: tuple[PartDecision, ...] = ()
    """Each recipient's outcome."""
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
    RULED_OUT = "ruled out"
    SET_ASIDE = "set aside"
    STOPPED = "stopped"
    REFUSED = "refused"
    FAILED = "failed"
    KEPT = "kept"
    TURNED_AWAY = "turned away"
    LOOP = "loop"
    LATE = "late"
    TROUBLE = "trouble"
    NOT_HANDED = "not handed over"


class _Row(msgspec.Struct, frozen=True):
    """A row of the table: an action, or the key of the door that chooses it; the status of a refusal; texts that strangers may read."""

    action: str
    status: str = ""
    text: str = ""
    """The text for strangers; "" = the reason itself."""
    disposition: str = ""
    """The engine's word, if the action does not say it."""
    instead: str = ""
    """The text for strangers if the reason names a path or an address of ours."""


_TABLE: Mapping[Cause, _Row] = {
    Cause.PASSED: _Row("accept"),
    Cause.CAUGHT: _Row("on_caught", "550 5.7.1"),
    Cause.DROPPED: _Row("discard"),
    Cause.RULED_OUT: _Row("reject", "550 5.7.1"),
    Cause.SET_ASIDE: _Row("quarantine"),
    Cause.STOPPED: _Row("quarantine", disposition=Disposition.ON_HOLD),
    Cause.REFUSED: _Row("tempfail", "451 4.7.1", instead="{filter} does not take the message now, try again later"),
    Cause.FAILED: _Row("on_failure", "451 4.7.1", "{filter} cannot scan the message now, try again later"),
    Cause.KEPT: _Row("quarantine", "", "{filter} could not scan the message"),
    Cause.TURNED_AWAY: _Row("tempfail", "451 4.7.1", "{filter} cannot scan the message now, try again later"),
    Cause.LOOP: _Row("reject", "554 5.4.6", "mail loop: too many hops"),
    Cause.LATE: _Row("on_late", "451 4.7.1", "{filter} has not scanned the message yet, try again later"),
    Cause.TROUBLE: _Row("on_failure", "451 4.3.0", "the message cannot be scanned now, try again later"),
    Cause.NOT_HANDED: _Row("tempfail", "451 4.3.0", "the message cannot be taken now, try again later"),
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
        case Disposition.ON_HOLD:
            return Cause.STOPPED
        case Disposition.QUARANTINED if not result.filter:
            return Cause.SET_ASIDE
        case Disposition.QUARANTINED:
            return Cause.CAUGHT if answer is not None and answer.kind is AnswerKind.ERROR else Cause.KEPT
        case Disposition.REJECTED:
            return Cause.RULED_OUT if result.report else Cause.TURNED_AWAY
        case Disposition.DEFERRED if answer is not None and answer.kind is AnswerKind.REJECTED:
            return Cause.REFUSED
        case Disposition.DEFERRED:
            return Cause.FAILED
    return Cause.TROUBLE


def decided(
    cause: Cause, door: Door, content: AskedContent, result: RuleOutcome, verdicts: Verdicts, trail: tuple[str, ...] = ()
) -> DoorDecision:
    """Return the decision for a row of the table, for all recipients of the message, or for those of this result."""
    row = _TABLE[cause]
    action = _CHOICES[getattr(door, row.action)] if row.action.startswith("on_") else _as_action(row.action)
    disposition = row.disposition or str(_DISPOSITIONS[action])
    recipients = content.recipients if result.recipients is None else result.recipients
    added = tuple(dict.fromkeys((*result.redirected, *result.routes, *(copy.address for copy in result.copies))))
    gone = bool(result.redirected)
    if action == "discard" and result.copies:  # the copies go out: the MTA takes the message for them
        action = "accept"
        gone = True
    goes_on = action in ("accept", "quarantine")
    fields, changes = _tagged(content, result) if goes_on else ((), ())
    text = "" if action == "accept" else _text(row, content.id, result)
    return DoorDecision(
        id=content.id,
        action=action,
        disposition=disposition,
        status=row.status if action in ("reject", "tempfail") else "",
        text=text,
        fields=fields,
        changes=changes,
        recipients=added if goes_on else (),
        removed=recipients if goes_on and gone else (),
        parts=(PartDecision(recipients, disposition, text),),
        verdicts=verdicts,
        trail=(*_answers(verdicts), *(trail or _ending(result))),
        retry_after=RETRY_AFTER if action == "tempfail" else 0,
        reason=_reason(cause, result),
    )


def _tagged(content: AskedContent, result: RuleOutcome) -> tuple[tuple[bytes, ...], tuple[tuple[bytes, bytes], ...]]:
    """Return the fields to add and those to change: the tags go into the first Subject field, or make one."""
    if not result.tags:
        return result.fields, ()
    header = content.header()
    subject = tagged(header, result.tags)
    if insertion(header, result.tags) is None:
        return (*result.fields, b"Subject: " + subject), ()
    return result.fields, ((b"Subject", subject),)


def _reason(cause: Cause, result: RuleOutcome) -> str:
    if cause is Cause.PASSED and result.reason:
        return f"passed: {result.reason}"
    if cause is Cause.STOPPED:
        return f"{result.reason}, {_until(result)}"
    return result.reason


def _until(result: RuleOutcome) -> str:
    return f"until {in_headers(int(result.until))}" if result.until else "until it is released"


def _as_action(word: str) -> Action:
    return next(action for action in _DISPOSITIONS if action == word)


def _text(row: _Row, id: int, result: RuleOutcome) -> str:
    """Return the reason for an MTA, with the filter's name and the id. The administrator finds both in our log."""
    public = row.text or (row.instead if _PRIVATE.search(result.reason[:MAX_TEXT]) else "")
    if public:
        return f"{public.format(filter=_name(result.filter))} (id {id})"
    reason = result.reason[:MAX_TEXT].rstrip()
    if result.disposition is Disposition.ON_HOLD:
        reason = f"{reason}, {_until(result)}"
    name = f"{_name(result.filter)}, " if result.filter else ""
    return f"{reason} ({name}id {id})"


def _name(filter: str) -> str:
    """Return the name of a filter for strangers. Those with # are of the engine, for rules."""
    return "a program" if filter.startswith("#") else filter or "a filter"


def _answers(verdicts: Verdicts) -> tuple[str, ...]:
    return tuple(f"{name}: {answer.kind.upper()} {answer.text}".rstrip() for name, answer in verdicts.answers.items())


def _ending(result: RuleOutcome) -> tuple[str, ...]:
    """Return the trail of a message that was decided without the rules."""
    return (f"{result.disposition}: {result.reason}" if result.reason else str(result.disposition),)
