"""What rules decide about a message: one outcome, or several for different recipients, and what is to be done with it. Pure."""

import enum
import hashlib

import msgspec

__all__ = ["AskFilter", "Copy", "Disposition", "Letter", "Remembered", "RuleOutcome", "Ruling", "mark"]


class Disposition(enum.StrEnum):
    """How a message ends, or that it waits: the words of the log and of the totals."""

    ENQUEUED = "enqueued"
    DISCARDED = "discarded"
    QUARANTINED = "quarantined"
    REJECTED = "rejected"
    DEFERRED = "deferred"
    BAD = "bad"
    ON_HOLD = "on_hold"


class AskFilter(msgspec.Struct, frozen=True, gc=False):
    """The verdict of this filter is needed next."""

    filter: str


class Copy(msgspec.Struct, frozen=True, gc=False):
    """A separate copy, with the same sender and header (MIRRORTO of a filter, Mirror to)."""

    by: str
    """The filter or the rule that asks for it."""
    address: bytes


class Letter(msgspec.Struct, frozen=True):
    """A new message about this one. It goes into the queue and through the rules, with the Submit Address SRULE, or DSN for a report."""

    kind: str
    """forward, reply, or report (a delivery status notification about a refused message)."""
    rule: str
    recipients: tuple[bytes, ...]
    """Its recipients; of a report also the sender of the message."""
    text: str = ""
    """The text of a reply, with macros expanded; of a report the reason."""
    failed: tuple[bytes, ...] = ()
    """Of a report: the recipients that are refused."""
    mark: bytes = b""
    """The mark of the action, so that it is carried out once (RuleOutcome.done)."""


class Remembered(msgspec.Struct, frozen=True):
    """An address to add to a list in State/lists/."""

    list: str
    address: bytes


class RuleOutcome(msgspec.Struct, frozen=True, gc=False):
    """The outcome for some recipients: what to do with the message, and why."""

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
    copies: tuple[Copy, ...] = ()
    recipients: tuple[bytes, ...] | None = None
    """The recipients that have this outcome. None: all of the message."""
    redirected: tuple[bytes, ...] = ()
    """If not empty: it goes to these addresses instead of its recipients (Redirect To)."""
    module: str = ""
    """If not empty: it goes into this module queue instead of those of [[routes]] (Route to)."""
    queue: str = ""
    """The queue in the brackets of Route to, "" = none was written."""
    tags: tuple[str, ...] = ()
    """Texts before the subject, the first one innermost (Tag Subject)."""
    letters: tuple[Letter, ...] = ()
    remembered: tuple[Remembered, ...] = ()
    texts: tuple[tuple[str, str], ...] = ()
    """Rule and text of each Write To Log."""
    until: float = 0.0
    """Of on_hold: seconds since 1970; 0 = until it is released."""
    action: tuple[str, ...] = ()
    """The words of the action that ended it: a released message goes on after it."""
    done: tuple[bytes, ...] = ()
    """Marks of actions with effects on others that were carried out (copies, letters ...): a rest of the message must not repeat them."""
    report: bool = False
    """A rule refused it: a session that is open answers with the reason; otherwise a report or the quarantine follows."""


class Ruling(msgspec.Struct, frozen=True, gc=False):
    """The outcomes of one message. Each recipient has exactly one of them."""

    outcomes: tuple[RuleOutcome, ...]
    """At least one. If there is one only, its `recipients` is None."""
    met: tuple[int, ...] = ()
    """The rules whose conditions held, by their places in Rules.active; those in shadow, too."""
    would: tuple[tuple[str, str], ...] = ()
    """Rule and text: what rules in shadow would have done."""

    @property
    def only(self) -> RuleOutcome | None:
        """Return the outcome if there is only one."""
        return self.outcomes[0] if len(self.outcomes) == 1 else None


def mark(rule: str, *action: str) -> bytes:
    """Return the 8 hex digits in the O line of a released message: it goes on after this action in this rule.

    `action`: the name of the filter of ExternalFilter alone, or all words of another action.
    """
    return hashlib.sha256("\n".join((rule, *action)).encode("utf-8", "replace")).hexdigest()[:8].encode()
