import pytest

from filterlink.filters.runtime.envelope import FilterEnvelope
from filterlink.filters.servers.answer import BadAnswer, ServerAnswer
from filterlink.filters.servers.spamc import SpamdFinding, finding, own_fields, received, request, spam_fields


def answered(spam: str, body: bytes = b"") -> ServerAnswer:
    answer = ServerAnswer()
    answer.feed(b"SPAMD/1.1 0 EX_OK\r\nContent-length: %d\r\nSpam: %b\r\n\r\n%b" % (len(body), spam.encode(), body))
    return answer


@pytest.mark.parametrize("user", [b"", b"a b", b"a\r\nContent-length: 1", b"\0", b"x" * 321])
def test_a_question(user: bytes) -> None:
    """With the user, but for one that cannot stand in a line."""
    assert request("CHECK", 7, b"c@d") == b"CHECK SPAMC/1.5\r\nUser: c@d\r\nContent-length: 7\r\n\r\n"
    assert request("CHECK", 7, user) == b"CHECK SPAMC/1.5\r\nContent-length: 7\r\n\r\n"


@pytest.mark.parametrize(
    ("spam", "expected"),
    [
        ("True ; 1001.5 / 5.0", SpamdFinding(True, 1001.5, 5.0, "A,B")),
        ("False ; -0.1 / 5", SpamdFinding(False, -0.1, 5.0, "A,B")),
        ("yes;7/5", SpamdFinding(True, 7.0, 5.0, "A,B")),
    ],
)
def test_a_score(spam: str, expected: SpamdFinding) -> None:
    """Is read as spamd and its relatives write it."""
    assert expected == finding(answered(spam, b"A,B"))


@pytest.mark.parametrize("spam", ["", "True", "True ; nan / 5.0", "Maybe ; 1 / 2"])
def test_no_score(spam: str) -> None:
    """Is no answer."""
    with pytest.raises(BadAnswer, match="without score"):
        finding(answered(spam))


def test_the_fields_of_spamassassin() -> None:
    """Folded as they are; no others, nothing of the body, and no line that would begin another field."""
    header = "Received: x\n\tX-Spam-Not: this\nX-Spam-Status: Yes,\n\tscore=7\nX-Spam-Odd Name: z\n"
    header += "x-spam-flag: YES\nSubject: y\n\nX-Spam-Body: z\n"

    assert spam_fields(header) == ("X-Spam-Status: Yes,\n\tscore=7", "x-spam-flag: YES")
    assert spam_fields("") == ()
    assert spam_fields("X-Spam-Flag: YES") == ("X-Spam-Flag: YES",)


def test_fields_of_ours() -> None:
    """Are those that SpamAssassin writes by default, in lines of a bearable length."""
    names = ",".join(f"RULE_{number}" for number in range(30))
    flag, status, level = own_fields(SpamdFinding(True, 70.2, 5.0, names))

    assert (flag, level) == ("X-Spam-Flag: YES", "X-Spam-Level: " + "*" * 50)
    assert status.replace("\n\t", "") == f"X-Spam-Status: Yes, score=70.2 required=5.0tests={names}"
    assert max(len(line) for line in status.split("\n")) < 80
    assert own_fields(SpamdFinding(False, -3.0, 5.0, "")) == ("X-Spam-Status: No, score=-3.0 required=5.0\n\ttests=none",)


DATE = b"Sat, 28 Nov 2026 20:17:37 +0000"
SECOND = 1795897057.9


@pytest.mark.parametrize(
    ("envelope", "text"),
    [
        (FilterEnvelope(), b""),
        (FilterEnvelope(helo=b"mx", account=b"ann", here=b"h"), b""),
        (FilterEnvelope(peer="192.0.2.1"), b"Received: from unknown ([192.0.2.1]) by localhost with ESMTP id 17; %b\n"),
        (
            FilterEnvelope(b"a@b", (), b"ann", "2001:db8::1", b"helo.example", b"mx.example", b"here"),
            b"Received: from mx.example ([2001:db8::1] helo=helo.example) by here with ESMTPA id 17; %b\n",
        ),
        (
            FilterEnvelope(peer="192.0.2.1", helo=b"[1.2.3.4]) by me (authenticated\xff", name=b"a\nb"),
            b"Received: from a!b ([192.0.2.1] helo=!1.2.3.4!!!by!me!!authenticated!) by localhost with ESMTP id 17; %b\n",
        ),
    ],
)
def test_the_client_is_a_received_field(envelope: FilterEnvelope, text: bytes) -> None:
    """In one line; what a client calls itself is one word without brackets."""
    assert received(envelope, b"17", SECOND) == (text % DATE if text else b"")


@pytest.mark.parametrize("second", [-1e18, 1e18])
def test_a_file_may_have_any_time(second: float) -> None:
    """Some filesystems take times that no date has."""
    assert received(FilterEnvelope(peer="192.0.2.1"), b"17", second).endswith(b" +0000\n")
