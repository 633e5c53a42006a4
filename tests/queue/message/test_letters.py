"""New messages: nothing of the first message gets out of its place."""

import email
import email.message
import email.policy
from collections.abc import Callable, Iterable

import pytest

from enqueuer.queue.message import letters
from enqueuer.queue.message.headerlines import HeaderLines

HEADER = (
    b"Subject: a =?utf-8?q?=0D=0ABcc:_evil@x?=\r\nMessage-ID: <1@x>\x0bBcc: evil@x\nX-Enqueuer-Trace: Scan\rBcc: evil@x\nReceived: by y\n"
)
ABOUT = letters.About(8, 7, "here.example", "r\u2028Bcc: evil@x", b"ann@a.example", HEADER, HeaderLines(HEADER), 1_800_000_000.0)
ODD = b"bob\r\nAction: relayed@x"


def _parsed(pieces: Iterable[bytes]) -> email.message.Message:
    return email.message_from_bytes(b"".join(pieces), policy=email.policy.compat32)


@pytest.mark.parametrize(
    "pieces",
    [
        lambda: letters.forward(ABOUT, (ODD,), (HEADER, b"\nx")),
        lambda: letters.reply(ABOUT, (ODD,), "+X-A: b\x85Bcc: evil@x\nTo: evil@x\n\nbody\x1b[31m\n"),
        lambda: letters.report(ABOUT, (ODD,), "no\r\nBcc: evil@x\n\nbody", (ODD, b"c@d")),
    ],
    ids=["forward", "reply", "report"],
)
def test_no_field_is_injected(pieces: Callable[[], Iterable[bytes]]) -> None:
    message = _parsed(pieces())
    head = b"".join(pieces()).partition(b"\n\n")[0]
    assert message.get_all("Bcc") is None
    assert len(message.get_all("To", ())) == len(message.get_all("From", ())) == len(message.get_all("Subject", ())) == 1
    assert not any(byte < 32 and byte not in b"\n\t" for byte in head)
    assert head.count(b"X-Enqueuer-Trace:") == 3, "the trace, the hop and its own"


def test_each_recipient_of_a_report_has_one_action() -> None:
    text = b"".join(letters.report(ABOUT, (b"ann@a",), "no\nAction: relayed", (ODD, b"c@d")))
    assert text.count(b"\nAction: failed\n") == 2
    assert b"\nAction: relayed" not in text
