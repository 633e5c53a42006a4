"""Write new messages about a message: a forward, a reply, a report of refusal (delivery status notification). Pure.

Each has LF line ends, a Date and a Message-ID of ours, and what keeps mail loops short: the trace fields of the first message, and one
more. A reply and a report have the null sender and Auto-Submitted (RFC 3834), so no program answers them. The report has the form of
RFC 3464. Text from the first message is one line each, without control characters, encoded where it is not ASCII (RFC 2047).
"""

import re
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from enqueuer.queue.message.header import TRACE
from enqueuer.queue.message.headerlines import HeaderLines, words_of
from enqueuer.queue.message.oneline import MOST, encoded_words, one_line
from enqueuer.queue.message.timestamps import in_headers

__all__ = ["About", "forward", "reply", "report"]

MAX_HEADER = 64 << 10
"""Bytes of the first message's header in a report."""
_FIELD_NAME = re.compile(r"[!-9;-~]{1,70}")


class About(msgspec.Struct, frozen=True):
    """The first message, and what the new one needs."""

    id: int
    """The id of the new message."""
    of: int
    """The id of the first one."""
    domain: str
    """The name of this machine, in ASCII."""
    rule: str
    sender: bytes
    header: bytes
    """The header of the first message."""
    lines: HeaderLines
    """The same, read."""
    now: float


def forward(about: About, recipients: Sequence[bytes], message: Iterable[bytes]) -> Iterator[bytes]:
    """Write a message with the first one as an attachment. `message`: its bytes."""
    boundary = _boundary(about)
    subject = "Fwd: " + one_line(words_of(next(iter(about.lines.values("subject")), b"")))
    yield _head(about, recipients, subject, b"auto-forwarded") + b"".join(
        (
            b'MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary="%s"\n\n' % boundary,
            b"--%s\nContent-Type: text/plain; charset=utf-8\n\n" % boundary,
            f"Rule {one_line(about.rule)} forwards message {about.of}.\n".encode("utf-8", "replace"),
            b"\n--%s\nContent-Type: message/rfc822\nContent-Disposition: attachment\n\n" % boundary,
        )
    )
    yield from message
    yield b"\n--%s--\n" % boundary


def reply(about: About, recipients: Sequence[bytes], text: str) -> Iterator[bytes]:
    """Write an answer. `+` before the text: it begins with header lines and an empty line; a Subject among them replaces ours."""
    subject = "Re: " + one_line(words_of(next(iter(about.lines.values("subject")), b"")))
    more = b""
    if text.startswith("+"):
        head, _, text = text[1:].lstrip("\n").partition("\n\n")
        for line in head.splitlines():
            name, colon, value = line.partition(":")
            if name.strip().lower() == "subject" and colon:
                subject = one_line(value)
            elif colon and _FIELD_NAME.fullmatch(name.strip()) and name.strip().lower() not in _OURS:
                more += name.strip().encode("ascii") + b": " + encoded_words(one_line(value)) + b"\n"
    answered = next(iter(about.lines.values("message-id")), b"")
    if answered:
        identity = one_line(answered.decode("ascii", "replace"))
        more += encoded_words(f"In-Reply-To: {identity}") + b"\n" + encoded_words(f"References: {identity}") + b"\n"
    yield _head(about, recipients, subject, b"auto-replied") + more + _TEXT + _body(text)


def report(about: About, recipients: Sequence[bytes], text: str, failed: Sequence[bytes]) -> Iterator[bytes]:
    """Write a report that the message was refused for the recipients in `failed`."""
    boundary = _boundary(about)
    reason = one_line(text)
    yield _head(about, recipients, "Undelivered mail: the message was refused", b"auto-replied") + b"".join(
        (
            b'MIME-Version: 1.0\nContent-Type: multipart/report; report-type=delivery-status; boundary="%s"\n\n' % boundary,
            b"--%s\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n" % boundary,
            b"Your message was not delivered to these recipients:\n\n",
            *(b"    %s\n" % _address(each) for each in failed[:1000]),
            f"\nThe reason: {reason}\n\nIts id here was {about.of}. Its header is attached.\n".encode("utf-8", "replace"),
            b"\n--%s\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; %s\n" % (boundary, about.domain.encode()),
        )
    )
    for each in failed[:1000]:
        yield b"\nFinal-Recipient: rfc822; %s\nAction: failed\nStatus: 5.7.1\nDiagnostic-Code: smtp; %s\n" % (
            _address(each),
            encoded_words("550 5.7.1 " + reason),
        )
    yield b"\n--%s\nContent-Type: text/rfc822-headers\n\n" % boundary
    yield about.header[:MAX_HEADER].replace(b"\r\n", b"\n").rstrip(b"\n") + b"\n\n--%s--\n" % boundary


_OURS = frozenset(
    f"date message-id from to auto-submitted mime-version content-type content-transfer-encoding received {TRACE.decode().lower()} "
    "return-path sender bcc envelope-to envelope-client in-reply-to references".split()
)
"""Fields that the text of a reply cannot set."""
_TEXT = b"MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n"


def _head(about: About, recipients: Sequence[bytes], subject: str, auto: bytes) -> bytes:
    """Return the fields that all new messages begin with. The trace fields count as hops, so a loop ends."""
    traces = [*about.lines.values(TRACE.decode().lower()), about.rule.encode("ascii", "replace")]
    hops = len(about.lines.values("received"))
    return b"".join(
        (
            *(b"%s: %s\n" % (TRACE, _visible(trace[:MOST])) for trace in reversed(traces)),
            *(b"%s: hop\n" % TRACE for _ in range(hops)),
            f"Date: {in_headers(int(about.now))}\n".encode("ascii"),
            f"Message-ID: <{about.id}.enqueuer@{about.domain}>\n".encode("ascii"),
            f"From: Mail Delivery System <MAILER-DAEMON@{about.domain}>\n".encode("ascii"),
            b"To: " + b",\n\t".join(map(_address, recipients)) + b"\n",
            b"Subject: " + encoded_words(subject) + b"\n",
            b"Auto-Submitted: " + auto + b"\n",
        )
    )


def _address(address: bytes) -> bytes:
    return bytes(byte if 32 < byte < 127 else 63 for byte in address)


def _visible(text: bytes) -> bytes:
    """Return text with `?` for each control character: a CR alone ends a line for some readers."""
    return bytes(byte if 32 <= byte < 127 else 63 for byte in text)


def _boundary(about: About) -> bytes:
    return b"=_enqueuer_%d_%d" % (about.of, about.id)


def _body(text: str) -> bytes:
    """Return the lines of a text; blanks stand for control characters."""
    lines = ("".join(char if char.isprintable() else " " for char in line) for line in text.splitlines())
    return "".join(line + "\n" for line in lines).encode("utf-8", "replace")
