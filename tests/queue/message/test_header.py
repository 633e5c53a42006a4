"""Demands on the way from a header to an envelope."""

import contextlib
import time
import tracemalloc
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enqueuer.queue.message import header


def _read(text: str) -> header.Header:
    return header.read(text.encode())


@given(st.from_regex(header._ONE, fullmatch=True) | st.binary(max_size=60))
def test_the_short_way_to_one_address_finds_what_the_long_one_does(text: bytes) -> None:
    """Most fields have one address and nothing to interpret; nothing else may be taken for such."""
    assert list(header.addresses(text)) == list(header._parsed(text))


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


HOSTILE: dict[str, Callable[[int], bytes]] = {
    "one long line": lambda n: b"X: " + b"x" * n,
    "many fields": lambda n: b"X-A: b\n" * (n // 7),
    "many To fields": lambda n: b"To:\n" * (n // 4),
    "fields that go": lambda n: b"Bcc:a\n" * (n // 6),
    "commas": lambda n: b"To: a" + b"," * n,
    "an open string": lambda n: b'To: "' + b"x" * n,
    "strings": lambda n: b"To: " + b'"' * n,
    "quoted pairs": lambda n: b'To: "' + b"\\x" * (n // 2),
    "open comments": lambda n: b"To: " + b"(" * n,
    "open angles": lambda n: b"To: " + b"<" * n,
    "groups": lambda n: b"To: " + b"a:" * (n // 2),
    "folds": lambda n: b"To: " + b"\n " * (n // 2),
    "a route": lambda n: b"To: <" + b"@a:" * (n // 3),
    "blanks": lambda n: b"To" + b" " * n,
    "bare CR": lambda n: b"\r" * n,
    "NUL": lambda n: b"To: " + b"\0" * n,
    "recipients": lambda n: b"To: " + b",".join(b"%x" % i for i in range(min(n // 6, header.MAX_RECIPIENTS))),
}


def _try(data: bytes) -> None:
    with contextlib.suppress(header.HeaderError):
        header.read(data)


def _seconds(data: bytes) -> float:
    def once() -> float:
        begun = time.process_time()
        _try(data)
        return time.process_time() - begun

    return min(once() for _ in range(3))


@pytest.mark.alone
@pytest.mark.parametrize("kind", HOSTILE)
def test_reading_takes_linear_time(kind: str) -> None:
    """Twice the header takes less than three times as long, whatever is in it; 4 MiB of the worst take some seconds."""
    small, double = (_seconds(HOSTILE[kind](n)) for n in (100_000, 200_000))

    assert double < 3 * small + 0.002, f"{small * 1000:.2f} ms, then {double * 1000:.2f} ms"


@pytest.mark.parametrize("kind", HOSTILE)
def test_reading_takes_bounded_memory(kind: str) -> None:
    """Beside the header itself, a few times its size at the most, and no mark or list item for each of its bytes."""
    data = HOSTILE[kind](300_000)
    tracemalloc.start()
    try:
        _try(data)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    limit = 30 if kind == "recipients" else 8
    assert peak < limit * len(data) + (1 << 16), f"{peak / len(data):.1f} times the header"


_PIECES = st.sampled_from(
    [b'"', b"\\", b"(", b")", b"<", b">", b",", b";", b":", b"@", b"a@b", b"\n ", b"\r", b" ", b"\0", b"\nTo: ", b"\nBcc: "]
)


@pytest.mark.alone
@given(st.lists(_PIECES, max_size=8))
def test_no_mixture_takes_longer_than_linear(pieces: list[bytes]) -> None:
    """What hypothesis makes of the signs that mean something, repeated: no pattern of them is a trap."""
    pattern = b"".join(pieces) or b"x"
    small, double = (_seconds(b"To: " + pattern * (n // len(pattern))) for n in (20_000, 40_000))

    assert double < 3 * small + 0.02


def test_the_recipients_have_a_limit() -> None:
    """Fifty thousand are taken, one more is refused with the cure: an envelope's memory is bounded."""
    numbers = (b"%d@x.example" % n for n in range(header.MAX_RECIPIENTS))
    text = b"To: " + b",".join(numbers)

    assert len(header.read(text + b"\n").recipients) == header.MAX_RECIPIENTS
    with pytest.raises(header.HeaderError, match="send several messages"):
        header.read(text + b", one-more@x.example\n")


def test_every_byte_that_stays_stays() -> None:
    """What is kept and what is taken out are the header, whatever its bytes: nothing is changed on the way."""
    for odd in (bytes(range(256)), b"\r\r\n", b"\0\n\0", b"\xff: \xfe\n folded\r", b" begins with a fold\n", b":\n::\n"):
        kept = b"To: a@a.example\nX: " + odd.replace(b"\n\n", b"") + b"\n"
        found = header.read(b"Bcc: b@b.example\n" + kept)
        assert b"".join(found.kept) == kept


def test_stations_are_counted_and_the_last_filter_named() -> None:
    """Received fields and our own; neither folded lines nor other fields count."""
    text = (
        b"X-Enqueuer-Trace: Second\r\nreceived: from a\r\n\tReceived: not this\r\nX-Received: no\r\n"
        b"X-ENQUEUER-TRACE : First\r\nReceived-SPF: no\r\nReceived : from b\r\n"
    )

    assert header.hops(text) == header.Hops(4, b"Second")
    assert header.hops(b"Subject: none\n") == header.Hops(0, b"")


def test_a_changed_copy_is_of_the_same_kind() -> None:
    """Message-ID and recipients make it; without Message-ID From, Date and Subject. What else a filter changes does not matter."""
    one = b"From: a@a.example\nMessage-ID: <1@a>\nSubject: x\n"
    to = [b"b@b.example", b"c@b.example"]
    same, by_id, by_sender = header.kinds(one, to)

    changed = b"DKIM-Signature: v=1;\n\tb=xyz\n" + one.replace(b"Subject: x", b"Subject: [spam] x")
    assert header.kinds(changed, to[::-1]) == (same, by_id, by_sender)
    assert header.kinds(one, to[:1])[0] != same
    assert header.kinds(one.replace(b"<1@a>", b"<2@a>"), to)[0] != same
    bare = one.replace(b"Message-ID: <1@a>\n", b"")
    assert header.kinds(bare, []) == header.kinds(b"X: y\n" + bare, [])
    assert header.kinds(bare, [])[0] != header.kinds(bare.replace(b"x", b"y"), [])[0]


def test_one_thing_that_stays_is_enough() -> None:
    """The Message-ID alone, or From, recipients and body. Where there is not one of it, there is no fingerprint that all such mail has."""
    one = b"From: a@a.example\nMessage-ID: <1@a>\nSubject: x\n"
    to = [b"b@b.example"]
    _, by_id, by_sender = header.kinds(one, to, b"text")

    assert header.kinds(one.replace(b"a@a", b"b@a"), [b"c@c.example"])[1] == by_id
    assert header.kinds(b"From: a@a.example\nMessage-ID: <2@a>\nSubject: Re: x\n", to, b"text")[2] == by_sender
    assert header.kinds(b"Subject: x\n", to, b"text")[2] == b""
    assert header.kinds(b"X: y\n", to)[1:] == (b"", b"")


def test_sender_and_recipients_alone_are_no_fingerprint() -> None:
    """A remote sender can forge both."""
    one = b"From: a@a.example\nMessage-ID: <1@a>\n"
    to = [b"b@b.example"]

    assert header.kinds(one, to, b"spam")[2] != header.kinds(one, to, b"mail")[2]
    assert header.kinds(one, to, b"\r\n")[2] == b""
