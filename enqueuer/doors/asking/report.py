"""Write the line of the log about a message of a door. Pure.

DOOR([101764372839123456]) postfix rejected: 550 5.7.1 Eicar-Signature; to=<bob@example.com>, message-id=<a@b>, delay=0.048s,
from=<ann@example.org>, client=192.0.2.1, queue-id=4F2K1, VirusScan=ERROR, subject="Re: hello"
"""

from enqueuer.doors.asking.decision import Action, DoorDecision
from enqueuer.doors.asking.mail import AskedMail
from enqueuer.log import facts
from enqueuer.queue.message.envelope import Envelope
from enqueuer.queue.message.fields import short

__all__ = ["cancelled_line", "decided_line"]

MAX_REASON = 2000
WORDS: dict[Action, str] = {
    "accept": "accepted",
    "reject": "rejected",
    "tempfail": "deferred",
    "discard": "discarded",
    "quarantine": "quarantined",
}
"""Actions -> the words of the log."""


def decided_line(door: str, mail: AskedMail, header: bytes, found: DoorDecision, seconds: float) -> str:
    """Return the line of a message that was decided. `seconds`: from its first byte to the answer."""
    word = "put on hold" if found.disposition == "on_hold" else WORDS[found.action]
    what = " ".join(filter(None, (found.status, found.reason[:MAX_REASON])))
    before = facts.before(Envelope((), mail.sender, mail.recipients), header)
    after = facts.after(found.verdicts.answers, header if found.action != "accept" else None)
    return f"{door} {word}{': ' if what else ''}{what}{before}{seconds:.3f}s{_session(mail)}{after}"


def cancelled_line(door: str, mail: AskedMail, filter: str, seconds: float) -> str:
    """Return the line of a message that its client has cancelled. `filter`: the one that was scanning it; "" = none."""
    during = f"while {filter} scanned it" if filter else "before the end of the message"
    before = facts.before(Envelope((), mail.sender, mail.recipients), b"")
    return f"{door} cancelled {during}{before}{seconds:.3f}s{_session(mail)}"


def _session(mail: AskedMail) -> str:
    """Return the facts of the session, each with a comma before it."""
    client = mail.client.address
    return f", from=<{facts.bracketed(short(mail.sender, 200))}>" + (f", client={client}" if client else "") + _queue_id(mail.queue_id)


def _queue_id(id: bytes) -> str:
    return f", queue-id={id[:100].decode('ascii', 'replace')}" if id.replace(b"-", b"").isalnum() else ""
