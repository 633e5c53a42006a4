"""Make the envelope lines and the Received field of a message that an MTA asks about. Pure."""

from enqueuer.config.doors import Door
from enqueuer.doors.asking.mail import AskedMail
from enqueuer.queue.message import client, envelope, session, trace
from enqueuer.queue.message.envelope import Envelope
from enqueuer.queue.message.timestamps import in_envelopes

__all__ = ["envelope_of", "received"]


def envelope_of(mail: AskedMail, door: Door, domain: str, now: float) -> Envelope:
    """Return the lines with all facts of the session. `now`: seconds since 1970."""
    facts = ((b"queue-id", mail.queue_id), (b"tls", mail.tls), (b"esmtp", mail.esmtp))
    words = client.words(*facts, (b"door", door.name.encode()), (b"via", door.kind.encode())) + session.originals(mail.originals)
    return envelope.make(mail.sender, mail.recipients, in_envelopes(now), domain, mail.client, words=words)


def received(mail: AskedMail, domain: str, id: int, now: float) -> bytes:
    """Return the field that filters see on top of the message."""
    return trace.of_session(domain, mail.client, mail.tls, mail.queue_id, id, now)
