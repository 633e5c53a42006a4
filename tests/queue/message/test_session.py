import pytest
from hypothesis import given
from hypothesis import strategies as st

from enqueuer.queue.message import client, envelope
from enqueuer.queue.message.envelope import Envelope
from enqueuer.queue.message.session import MAX_ORIGINALS, Session, original, originals


def of(source: bytes, arrival: bytes = b"A host") -> Session:
    return Session.of(envelope.parse(b"P I x <a@b>\n%b\n%b\nR W x <c@d>\n" % (source, arrival)))


@pytest.mark.parametrize(
    ("source", "submit_address", "address", "account"),
    [
        (b"S SMTP [199.199.199.199]", "SMTP [199.199.199.199]", "199.199.199.199", b""),
        (b"S <user1@test.test> SMTP [10.4.0.159]", "SMTP [10.4.0.159]", "10.4.0.159", b"user1@test.test"),
        (b"S HTTPU [10.1.11.6]", "HTTPU [10.1.11.6]", "10.1.11.6", b""),
        (b"S SMTP [IPv6:2001:DB8::1]", "SMTP [2001:db8::1]", "2001:db8::1", b""),
        (b"S DSN [0.0.0.0]", "DSN", "", b""),
        (b"S SRULE [0.0.0.0]", "SRULE", "", b""),
        (b"S PIPE [0.0.0.0]", "PIPE", "", b""),
        (b"S PIPE", "PIPE", "", b""),
        (b"S SMTP [999.1.1.1]", "SMTP", "", b""),
        (b"S ", "", "", b""),
        (b"S <ann@x> ", "", "", b"ann@x"),
        (b"X none", "", "", b""),
    ],
)
def test_forms_of_the_s_line(source: bytes, submit_address: str, address: str, account: bytes) -> None:
    """Those of the original, and faulty ones."""
    found = of(source)
    assert (found.submit_address, found.address, found.account) == (submit_address, address, account)
    assert found.security == ()


def test_the_words_of_a_door() -> None:
    """As it writes them: the door is the submit address, and odd bytes come back as they were."""
    remote = client.RemoteClient("192.0.2.1", b"mx.example.org", b"[x] via=smtp <y>", b"ann@example.com")
    words = client.words((b"tls", b"TLSv1.3 AES256"), (b"esmtp", b"SIZE=5 BODY=8BITMIME"), (b"via", b"milter"))
    words += originals(((b"bob@example.com", b"All+x=y@example.com"), (b"cid@example.com", b"CID@example.com"), (b"d@e", b"")))
    found = Session.of(envelope.make(b"a@b", (b"bob@example.com",), "at", "host", remote, words=words))

    assert found == Session(
        submit_address="MILTER [192.0.2.1]",
        address="192.0.2.1",
        account=b"ann@example.com",
        name=b"mx.example.org",
        helo=b"[x] via=smtp <y>",
        tls="TLSv1.3 AES256",
        esmtp=(b"SIZE=5", b"BODY=8BITMIME"),
        orcpt={b"bob@example.com": b"All+x=y@example.com"},
    )
    assert found.security == ("encrypted", "TLSv1.3")


def test_a_client_cannot_add_words() -> None:
    """A word of ours counts once, and a blank in a value is no blank in the line."""
    assert of(b"S SMTP [192.0.2.1]", b"A host helo=x%20via=http via=milter via=smtp").submit_address == "MILTER [192.0.2.1]"


@pytest.mark.parametrize(
    ("parameters", "address"),
    [
        ([b"NOTIFY=NEVER", b"orcpt=RFC822;bob+2Bx@example.com"], b"bob+x@example.com"),
        ([b"ORCPT=x400;/a=b"], b""),
        ([b"ORCPT=rfc822;a+0Ab"], b""),
        ([b"ORCPT=rfc822;"], b""),
        ([b"ORCPT"], b""),
        ([], b""),
    ],
)
def test_orcpt(parameters: list[bytes], address: bytes) -> None:
    """Without its code. What could not be an address is none."""
    assert original(parameters) == address


def test_many_originals_are_bounded() -> None:
    """The rest is left out whole."""
    words = originals((b"%d@example.com" % n, b"<" * 900) for n in range(50_000))
    assert MAX_ORIGINALS - 3000 < len(words) <= MAX_ORIGINALS
    assert len(Session.of(Envelope((b"A host" + words + b"\n",), b"", ())).orcpt) == words.count(b" orcpt=")


@given(st.lists(st.binary(max_size=60)))
def test_any_lines(lines: list[bytes]) -> None:
    """Nothing raises."""
    Session.of(Envelope(tuple(letter + line + b"\n" for line in lines for letter in (b"S ", b"A host ")), b"", ()))
