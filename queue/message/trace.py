"""Make the trace field of a message for a module queue: a Received field with its id (RFC 5321, 4.4). Pure."""

import re

from enqueuer.queue.message.client import RemoteClient
from enqueuer.queue.message.timestamps import in_headers

__all__ = ["domain", "of_session", "received"]

MAX_COLUMNS = 78
"""Characters of a line that RFC 5322 (2.1.1) wants at most. A host name of Linux has up to 64."""
_ODD = re.compile(rb"[^A-Za-z0-9.:_-]")
_DOMAIN = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,62}[A-Za-z0-9])?")


def domain(host: str) -> str:
    """Return the name of this machine in a form for a header field; "localhost" if it is not a plain name."""
    return host if _DOMAIN.fullmatch(host) else "localhost"


def received(domain: str, id: int, second: float) -> bytes:
    """Make the field without its line end. Folds are LF and a tab, as in all fields that are added."""
    first = f"Received: by {domain} (Enqueuer) id {id};"
    if len(first) > MAX_COLUMNS:
        first = f"Received: by {domain}\n\t(Enqueuer) id {id};"
    return f"{first}\n\t{in_headers(int(second))}".encode("ascii")


def of_session(domain: str, client: RemoteClient, tls: bytes, queue_id: bytes, id: int, second: float) -> bytes:
    """Make the field of a message that an MTA asks about, with its line end: filters see it on top of the message.

    The form is Exim's, from which SpamAssassin reads the host name. The words after `with` are those of RFC 3848.
    """
    helo = b" helo=%b" % _word(client.helo) if client.helo else b""
    source = b"from %b ([%b]%b)\n\t" % (_word(client.name or b"unknown"), client.address.encode(), helo) if client.address else b""
    how = b"ESMTP%b%b" % (b"S" if tls else b"", b"A" if client.account else b"")
    number = _word(queue_id) if queue_id else b"%d" % id
    date = in_headers(int(second)).encode()
    return b"Received: %bby %b (Enqueuer) with %b id %b;\n\t%b\n" % (source, domain.encode(), how, number, date)


def _word(text: bytes) -> bytes:
    return _ODD.sub(b"!", text)
