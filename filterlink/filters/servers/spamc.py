"""The protocol between spamd and its clients (SPAMC/1.5). Pure: bytes in, a SpamdFinding out."""

import datetime
import re
import textwrap
from typing import NamedTuple

from filterlink.filters.runtime.envelope import FilterEnvelope
from filterlink.filters.servers.answer import BadAnswer, ServerAnswer

__all__ = ["METHODS", "TEMPORARY", "SpamdFinding", "finding", "own_fields", "received", "request", "spam_fields"]

METHODS = {"headers": "HEADERS", "symbols": "SYMBOLS", "nothing": "CHECK"}
"""By what to add: SpamAssassin's own fields, our fields from the names of the rules, none."""
TEMPORARY = (69, 71, 74, 75)
"""Codes of sysexits.h for a fault of spamd, not of the message: unavailable, OS error, I/O error, try again."""
MAX_STARS = 50
WIDTH = 70
LAST = 253402300799
"""The last second that a date can say, in the year 9999. A file may have a later time."""
_USER = re.compile(rb"[!-~\x80-\xff]{1,320}")
_SPAM = re.compile(r"(True|False|Yes|No) *; *(-?\d{1,9}(?:\.\d{1,9})?) */ *(-?\d{1,9}(?:\.\d{1,9})?)", re.IGNORECASE)
_FIELD = re.compile(r"(X-Spam-[!-9;-~]+:(?:[^\n]*)(?:\n[ \t][^\n]*)*)\n?", re.IGNORECASE)
_ODD = re.compile(rb"[^A-Za-z0-9.:_-]")
_ANY_FIELD = re.compile(r"^[^\n]*+\n(?:[ \t][^\n]*+\n)*+", re.MULTILINE)


class SpamdFinding(NamedTuple):
    """What spamd reports about a message."""

    spam: bool
    score: float
    required: float
    body: str
    """The header of the message as SpamAssassin rewrote it, the names of the rules, or nothing: by the method."""


def request(method: str, length: int, user: bytes = b"") -> bytes:
    """Return all that comes before the message. A user name that does not fit into a line is left out."""
    said_user = b"User: %b\r\n" % user if _USER.fullmatch(user) else b""
    return b"%b SPAMC/1.5\r\n%bContent-length: %d\r\n\r\n" % (method.encode(), said_user, length)


def received(envelope: FilterEnvelope, id: bytes, second: float) -> bytes:
    """Return a Received field that names the client, for what comes before the message; b"" if no client is known.

    SpamAssassin takes the host name from this form, which is Exim's, and looks up one that is unknown. ESMTPA means that the client
    has authenticated. For odd characters of a name the field has a !, as SpamAssassin would write.
    """
    if not envelope.peer:
        return b""
    helo = b" helo=%b" % _word(envelope.helo) if envelope.helo else b""
    client = b"%b ([%b]%b)" % (_word(envelope.name or b"unknown"), envelope.peer.encode(), helo)
    how = b"ESMTPA" if envelope.account else b"ESMTP"
    date = datetime.datetime.fromtimestamp(min(max(second, 0), LAST), datetime.UTC).strftime("%a, %d %b %Y %H:%M:%S +0000").encode()
    return b"Received: from %b by %b with %b id %b; %b\n" % (client, _word(envelope.here or b"localhost"), how, _word(id), date)


def _word(text: bytes) -> bytes:
    return _ODD.sub(b"!", text)


def finding(answer: ServerAnswer) -> SpamdFinding:
    """Read an answer of code 0. Raises BadAnswer."""
    match = _SPAM.match(answer.fields.get("spam", ""))
    if not match:
        raise BadAnswer("an answer without score")
    body = answer.body.decode("utf-8", "replace").replace("\r\n", "\n")
    return SpamdFinding(match[1].lower() in ("true", "yes"), float(match[2]), float(match[3]), body)


def spam_fields(header: str) -> tuple[str, ...]:
    """Return SpamAssassin's fields, folded as they are. It removes those that were in the message before."""
    found = (_FIELD.fullmatch(field) for field in _ANY_FIELD.findall(header.partition("\n\n")[0] + "\n"))
    return tuple(match[1] for match in found if match)


def own_fields(found: SpamdFinding) -> tuple[str, ...]:
    """Write the fields that SpamAssassin adds by default, from the score and the names of the rules."""
    yes = "Yes" if found.spam else "No"
    lines = textwrap.wrap(found.body.strip().replace(",", " "), WIDTH)
    tests = ",\n\t".join(line.replace(" ", ",") for line in lines) or "none"
    fields = [f"X-Spam-Status: {yes}, score={found.score:.1f} required={found.required:.1f}\n\ttests={tests}"]
    if found.spam:
        fields.insert(0, "X-Spam-Flag: YES")
    if stars := "*" * min(MAX_STARS, int(found.score)):
        fields.append(f"X-Spam-Level: {stars}")
    return tuple(fields)
