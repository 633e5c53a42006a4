"""Make the trace field of a message for a module queue: a Received field with its id (RFC 5321, 4.4). Pure."""

import re

from enqueuer.queue.message.timestamps import in_headers

__all__ = ["domain", "received"]

MAX_COLUMNS = 78
"""Characters of a line that RFC 5322 (2.1.1) wants at most. A host name of Linux has up to 64."""
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
