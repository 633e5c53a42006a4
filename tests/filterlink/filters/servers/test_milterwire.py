"""What is said to a milter and what its answers mean, without one."""

import struct

import pytest

from filterlink.filters.runtime.envelope import FilterEnvelope
from filterlink.filters.runtime.verdict import Verdict, discard, error, header, ok, rejected
from filterlink.filters.servers.milterwire import (
    BadPacket,
    MilterMessage,
    MilterOutcome,
    Packets,
    Wanted,
    commands,
    final,
    read_offer,
    split,
)

MAIL = b"From: a\nSubject:x\n  y\n\nline\r\nline\n"


def told(wanted: Wanted, pieces: list[bytes], envelope: FilterEnvelope | None = None) -> list[tuple[bytes, bytes, bool]]:
    """What goes there but macros: letter, data, whether an answer comes."""
    mail = MilterMessage("7", envelope or FilterEnvelope(b"s@x", (b"r@y", b"t@z"), b"", "192.0.2.1"), *split(pieces))
    return [(each.letter, each.packet[5:], each.answered) for each in commands(wanted, mail) if each.letter != b"D"]


@pytest.mark.parametrize("step", [1, 2, 3, 5, 1000])
def test_all_in_order(step: int) -> None:
    """As SMTP has it: CRLF in the body, folded fields in one, however the message is cut."""
    found = told(Wanted(), [MAIL[at : at + step] for at in range(0, len(MAIL), step)])

    assert found[:5] == [
        (b"C", b"[192.0.2.1]\x004\0\x00192.0.2.1\0", True),
        (b"H", b"[192.0.2.1]\0", True),
        (b"M", b"<s@x>\0", True),
        (b"R", b"<r@y>\0", True),
        (b"R", b"<t@z>\0", True),
    ]
    assert found[5:9] == [(b"T", b"", True), (b"L", b"From\0a\0", True), (b"L", b"Subject\0x\n  y\0", True), (b"N", b"", True)]
    assert b"".join(data for letter, data, _ in found if letter == b"B") == b"line\r\nline\r\n"
    assert found[-1] == (b"E", b"", True)


def test_what_it_does_not_want() -> None:
    """Is not sent; what it does not answer is not waited for; a blank before a value is kept where it wants that."""
    assert [letter for letter, _, _ in told(Wanted(6, 0x1 | 0x2 | 0x4 | 0x8 | 0x10 | 0x200), [MAIL])] == [b"L", b"L", b"N", b"E"]
    assert [answered for letter, _, answered in told(Wanted(6, 0x80 | 0x80000), [MAIL]) if letter in b"LB"] == [False] * 3
    assert (b"L", b"From\0 a\0", True) in told(Wanted(6, 0x100000), [MAIL])
    assert b"T" not in [letter for letter, _, _ in told(Wanted(2), [MAIL])]


def test_bodies_in_parts_and_mail_from_inside() -> None:
    """At most 65535 bytes a packet; no peer is 127.0.0.1; IPv6 is named so."""
    assert [len(data) for letter, data, _ in told(Wanted(), [b"\n", b"x" * 70_000]) if letter == b"B"] == [65535, 4465]
    assert told(Wanted(), [b""], FilterEnvelope())[0][1] == b"localhost\x004\0\x00127.0.0.1\0"
    assert told(Wanted(), [b""], FilterEnvelope(peer="2001:db8::1"))[0][1] == b"[2001:db8::1]\x006\0\0IPv6:2001:db8::1\0"


def test_the_client_as_a_milter_gets_it() -> None:
    """Name, address and HELO in their commands, and the macros that MTAs give."""
    envelope = FilterEnvelope(b"s@x", (b"r@y",), b"ann", "2001:db8::1", b"helo.example", b"mx.example", b"here.example")
    mail = MilterMessage("7", envelope, *split([MAIL]))
    packets = [each.packet[4:] for each in commands(Wanted(), mail)]

    assert packets[0] == (
        b"DCj\0here.example\0{daemon_name}\0enqueuer\0{client_addr}\x002001:db8::1\0{client_name}\0mx.example\0{client_ptr}\0mx.example\0"
    )
    assert packets[1:3] == [b"Cmx.example\x006\0\0IPv6:2001:db8::1\0", b"Hhelo.example\0"]
    assert packets[3] == b"DMi\x007\0{mail_addr}\0s@x\0{auth_authen}\0ann\0{auth_type}\0unknown\0"


def test_mail_from_inside_says_nothing_about_a_client() -> None:
    """As before: localhost, without macros about a client."""
    packets = [each.packet[4:] for each in commands(Wanted(), MilterMessage("7", FilterEnvelope(), *split([MAIL])))]

    assert packets[0] == b"DCj\0localhost\0{daemon_name}\0enqueuer\0"
    assert packets[2] == b"Hlocalhost\0"


@pytest.mark.parametrize("step", [1, 1000])
def test_packets(step: int) -> None:
    """Read in any pieces; what is none is told."""
    data = b"\0\0\0\x01c\0\0\0\x03qx\0"
    packets = Packets()
    found = []
    for at in range(0, len(data), step):
        packets.feed(data[at : at + step])
        while packet := packets.take():
            found.append(packet)
    assert found == [(b"c", b""), (b"q", b"x\0")]
    packets.feed(b"HTTP/1.1")
    with pytest.raises(BadPacket):
        packets.take()


def test_its_options() -> None:
    """Version and what it wants; anything else is no milter."""
    assert read_offer(b"O", struct.pack("!III", 6, 1, 0x10) + b"macros") == Wanted(6, 0x10)
    for letter, data in ((b"c", b""), (b"O", b"short"), (b"O", struct.pack("!III", 9, 1, 0))):
        with pytest.raises(BadPacket):
            read_offer(letter, data)


def test_fields_are_added_and_changes_named() -> None:
    """Both kinds of fields, folded rightly; progress is no answer; a skip ends the body."""
    outcome = MilterOutcome()
    answers = [(b"p", b""), (b"h", b"X-A\0one\n two\0"), (b"i", b"\0\0\0\x01X-B\0b\nInjected: c\0"), (b"h", b"bad name\0x\0")]
    assert not any(outcome.take(*each) for each in [*answers, (b"m", b"\0\0\0\x01A\0\0"), (b"q", b"why\0")])
    assert outcome.take(b"s", b"")

    assert outcome.verdict() == header(("X-A: one\n\ttwo", "X-B: b\n\tInjected: c"))
    assert (outcome.undone, outcome.quarantine, outcome.skip) == ({"changes a header field"}, "why", True)
    assert MilterOutcome().verdict() == ok()
    with pytest.raises(BadPacket):
        outcome.take(b"?", b"")


@pytest.mark.parametrize(
    ("letter", "data", "found"),
    [
        (b"r", b"", error("refused by the milter")),
        (b"t", b"", rejected("the milter says: not now")),
        (b"d", b"", discard()),
        (b"y", b"550 5.7.1 no\0", error("550 5.7.1 no")),
        (b"y", b"451 4.7.1 later\0", rejected("451 4.7.1 later")),
        (b"c", b"", None),
    ],
)
def test_final_answers(letter: bytes, data: bytes, found: Verdict | None) -> None:
    """A verdict each; the text of its own goes with it."""
    assert final(letter, data) == found
