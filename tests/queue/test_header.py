"""Demands on the way from a header to an envelope."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enqueuer.queue import header


def _read(text: str) -> header.Header:
    return header.read(text.encode())


def test_recipients_come_from_to_cc_and_bcc() -> None:
    """Without Envelope-To, everybody whom the header names is a recipient, once, in order."""
    found = _read("From: ann@a.example\nTo: Bob <bob@b.example>, carol@c.example\nCc: bob@b.example\nBcc: dave@d.example\nSubject: x\n")

    assert found.recipients == (b"bob@b.example", b"carol@c.example", b"dave@d.example")
    assert found.sender == b"ann@a.example"


def test_bcc_is_removed_and_all_else_stays_byte_for_byte() -> None:
    """Only the fields that the envelope takes out go, folded lines and all."""
    found = _read("Subject: a\r\n\tb\r\nbcc: x@x.example,\r\n y@x.example\r\nTo: z@x.example\r\nX-Odd:\x01 \r\n")

    assert b"".join(found.kept) == b"Subject: a\r\n\tb\r\nTo: z@x.example\r\nX-Odd:\x01 \r\n"
    assert found.recipients == (b"z@x.example", b"x@x.example", b"y@x.example")


def test_envelope_to_alone_counts_where_there_is_one() -> None:
    """Several Envelope-To fields and lists in one are both read; To and Bcc name nobody then."""
    envelope = "Return-Path: <r@r.example>\nEnvelope-To: a@a.example, b@b.example\nEnvelope-To: c@c.example\n"
    found = _read(envelope + "To: no@no.example\nBcc: no@no.example\n")

    assert found.recipients == (b"a@a.example", b"b@b.example", b"c@c.example")
    assert found.sender == b"r@r.example"
    assert b"".join(found.kept) == b"To: no@no.example\n"


def test_envelope_ignore_leaves_addresses_out() -> None:
    """What Envelope-Ignore lists stands in To, but gets nothing."""
    found = _read("Envelope-Ignore: a@a.example\nTo: a@a.example, b@b.example\n")

    assert found.recipients == (b"b@b.example",)
    assert b"".join(found.kept) == b"To: a@a.example, b@b.example\n"


@pytest.mark.parametrize(
    ("text", "sender"),
    [
        ("Return-Path: <>\nFrom: a@a.example\nTo: b@b.example\n", b""),
        ("Sender: s@s.example\nFrom: a@a.example\nTo: b@b.example\n", b"a@a.example"),
        ("Sender: s@s.example\nTo: b@b.example\n", b"s@s.example"),
        ("To: b@b.example\n", b""),
    ],
)
def test_sender(text: str, sender: bytes) -> None:
    """Return-Path names the sender, the empty one too; else From, else Sender."""
    assert _read(text).sender == sender


@pytest.mark.parametrize("text", ["", "Subject: x\n", "To: undisclosed-recipients:;\n", "To: Bob Smith\n", "To:\n", "just words"])
def test_no_recipient_is_refused_with_the_cure(text: str) -> None:
    """A header that names nobody is refused, and the text says what to write."""
    with pytest.raises(header.HeaderError, match="Envelope-To, To, Cc or Bcc"):
        _read(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b'"Smith, Bob" <bob@b.example> (the (nested) one), eve@e.example', [b"bob@b.example", b"eve@e.example"]),
        (b"friends: a@a.example, B <b@b.example>;, c@c.example", [b"a@a.example", b"b@b.example", b"c@c.example"]),
        (b"<@relay.example,@two.example:user@u.example>", [b"user@u.example"]),
        (b'"odd local"@o.example', [b'"odd local"@o.example']),
        (b"<a@a.example\r\n\t>", [b"a@a.example"]),
        (b"<evil@x.example\nR W 1>", []),
        (b"postmaster", [b"postmaster"]),
        (b"<unclosed@x.example", [b"unclosed@x.example"]),
        (b"((((((", []),
    ],
)
def test_addresses(text: bytes, expected: list[bytes]) -> None:
    """Address lists are read as RFC 5322 writes them, and never become a line of their own."""
    assert list(header.addresses(text)) == expected


@given(st.binary(max_size=300))
def test_any_bytes_are_read(data: bytes) -> None:
    """Whatever the bytes, reading ends with a header or a HeaderError, and no address can break an envelope line."""
    try:
        found = header.read(data)
    except header.HeaderError:
        return
    for address in (*found.recipients, found.sender):
        assert not set(address) & set(b"\r\n\0<>")


def test_header_end() -> None:
    """The header ends at the first empty line, with either line end."""
    assert header.header_end(b"A: b\n\nbody") == 5
    assert header.header_end(b"A: b\r\n\r\nbody") == 6
    assert header.header_end(b"\nbody") == 0
    assert header.header_end(b"A: b\n") == -1


def test_a_hundred_thousand_fields_are_no_trouble() -> None:
    """Many fields, and a field of many recipients, are read in one pass."""
    text = b"X-A: b\n" * 100_000 + b"To: " + b",\n ".join(b"u%d@x.example" % n for n in range(10_000)) + b"\n"

    assert len(header.read(text).recipients) == 10_000
