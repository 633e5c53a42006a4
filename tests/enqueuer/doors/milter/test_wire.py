"""The milter's side of the protocol: bytes to commands, decisions to bytes. The other side is filterlink's own."""

import contextlib
import struct
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from enqueuer.doors.asking.decision import DoorDecision
from enqueuer.doors.milter.wire import (
    BadPacket,
    MilterCommand,
    MilterInput,
    MilterOptions,
    UnixLines,
    answer,
    arguments,
    connection,
    macros,
    negotiate,
    reply,
)
from filterlink.filters.runtime.envelope import FilterEnvelope
from filterlink.filters.runtime.verdict import Verdict, discard, error, rejected
from filterlink.filters.servers import milterwire
from filterlink.filters.servers.milterpackets import packet

POSTFIX = struct.pack("!III", 6, 0x1FF, 0x1FFFFF)
ALL = negotiate(POSTFIX, False)[0]


def decided(**facts: Any) -> DoorDecision:
    values: dict[str, Any] = {"id": 7, "action": "accept", "disposition": "enqueued", "verdicts": ()}
    return DoorDecision(**(values | facts))


def packets(data: bytes) -> list[tuple[bytes, bytes]]:
    """Read our answers as an MTA does."""
    reader = milterwire.Packets()
    reader.feed(data)
    found = []
    while (each := reader.take()) is not None:
        found.append(each)
    return found


def taken(pieces: list[bytes]) -> list[MilterCommand]:
    """Return all commands, with the pieces of each put together."""
    found: list[MilterCommand] = []
    reader = MilterInput()
    for piece in pieces:
        reader.feed(piece)
        while (command := reader.take()) is not None:
            if found and not found[-1].whole:
                found[-1] = MilterCommand(command.letter, found[-1].data + command.data, command.whole)
            else:
                found.append(command)
    assert not reader.partial
    return found


# ---- what comes


@given(st.lists(st.tuples(st.sampled_from("ACDEHKLMNOQRTUB"), st.binary(max_size=50))), st.integers(1, 60))
@example([("B", b"x" * 200_000), ("A", b"")], 65536)
def test_commands_come_as_they_were_sent_however_they_are_cut(sent: list[tuple[str, bytes]], step: int) -> None:
    data = b"".join(packet(letter.encode(), text) for letter, text in sent)

    assert taken([data[at : at + step] for at in range(0, len(data), step)]) == [
        MilterCommand(letter.encode(), text) for letter, text in sent
    ]


@given(st.lists(st.binary(min_size=1, max_size=300)))
def test_nonsense_is_refused_or_waits(pieces: list[bytes]) -> None:
    """No bytes raise anything but BadPacket."""
    reader = MilterInput()
    with contextlib.suppress(BadPacket):
        for piece in pieces:
            reader.feed(piece)
            while reader.take() is not None:
                pass


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"GET / HTTP/1.1\r\n", "an unknown command"),
        (b"\0\0\0\0C", "a packet C of 0 bytes"),
        (b"\xff\xff\xff\xffB", "a packet B of 4294967295 bytes"),
        (b"\0\1\0\1M", "a packet M of 65537 bytes"),
        (b"\0\x10\0\1L", "a packet L of 1048577 bytes"),
    ],
)
def test_lengths_and_letters_are_checked_at_once(data: bytes, text: str) -> None:
    reader = MilterInput()
    reader.feed(data)
    with pytest.raises(BadPacket, match=text):
        reader.take()


def test_large_packets_are_not_kept() -> None:
    """A body of 1 MiB in one packet: each piece is given on at once."""
    reader = MilterInput()
    reader.feed(packet(b"B", b"x" * 1_000_000)[:5])
    assert reader.take() is None
    sizes = []
    for _ in range(10):
        reader.feed(b"x" * 100_000)
        command = reader.take()
        assert command is not None
        sizes.append((len(command.data), command.whole))
        assert reader.partial is not command.whole

    assert sizes == [(100_000, False)] * 9 + [(100_000, True)]


@given(st.binary(max_size=200).map(lambda data: data.replace(b"x", b"\r\n")), st.integers(1, 9))
@example(b"a\r\r\n\r", 1)
def test_line_ends(data: bytes, step: int) -> None:
    """CRLF becomes LF, wherever a piece ends; a lone CR stays."""
    lines = UnixLines()
    found = b"".join(lines.take(data[at : at + step]) for at in range(0, len(data), step)) + lines.end()

    assert found == data.replace(b"\r\n", b"\n")


def test_arguments_macros_and_clients() -> None:
    assert arguments(b"<a@b>\0SIZE=12\0BODY=8BITMIME\0") == [b"<a@b>", b"SIZE=12", b"BODY=8BITMIME"]
    assert arguments(b"<>\0") == [b"<>"]
    assert arguments(b"") == [b""]
    assert macros(b"Mi\0ABC\0{auth_authen}\0ann\0") == {b"i": b"ABC", b"{auth_authen}": b"ann"}
    assert macros(b"L") == {}
    assert macros(b"") == {}
    assert connection(b"mx.example\x004\x1f\x90192.0.2.1\0") == (b"mx.example", b"192.0.2.1")
    assert connection(b"[2001:db8::1]\x006\0\0IPv6:2001:db8::1\0") == (b"", b"IPv6:2001:db8::1")
    assert connection(b"localhost\0U") == (b"localhost", b"")
    assert connection(b"localhost\0L\0\0/run/socket\0") == (b"localhost", b"")
    assert connection(b"") == (b"", b"")


# ---- what both sides agree on


def test_what_postfix_and_sendmail_offer() -> None:
    """Nothing is answered but the end of a message, and values keep their leading space."""
    options, packet = negotiate(POSTFIX, False)

    assert packets(packet) == [(b"O", struct.pack("!III", 6, 0x3D, 0x1FF380))]
    assert options.leading_space
    assert not options.answered


def test_a_session_that_is_refused_answers_the_connection() -> None:
    options, _ = negotiate(POSTFIX, True)

    assert options.answered == {b"C"}


@pytest.mark.parametrize(("version", "protocol"), [(2, 0x7F), (3, 0x1FF), (4, 0x3FF), (5, 0x3FF)])
def test_older_versions(version: int, protocol: int) -> None:
    """They know of no command without an answer, header fields aside, and of no leading space."""
    options, packet = negotiate(struct.pack("!III", version, 0x3F, protocol), False)

    assert packets(packet)[0][1][:4] == struct.pack("!I", version)
    assert options.answered == {letter.encode() for letter in ("CHMRTUNBL" if version == 2 else "CHMRTUNB")}
    assert not options.leading_space


def test_newer_versions_and_bad_options() -> None:
    assert packets(negotiate(struct.pack("!III", 9, 0, 0), False)[1]) == [(b"O", struct.pack("!III", 6, 0, 0))]
    with pytest.raises(BadPacket, match="version 1 of the milter protocol"):
        negotiate(struct.pack("!III", 1, 0, 0), False)
    with pytest.raises(BadPacket):
        negotiate(b"\0\0\0\6", False)


# ---- what is answered


def test_all_actions() -> None:
    fields = (b"X-New: 1", b"X-Old: a\n\tb")

    assert packets(answer(decided(fields=fields, recipients=(b"c@d",)), ALL)) == [
        (b"i", b"\0\0\0\0X-Old\0 a\n\tb\0"),
        (b"i", b"\0\0\0\0X-New\0 1\0"),
        (b"+", b"<c@d>\0"),
        (b"c", b""),
    ]
    assert packets(answer(decided(action="discard"), ALL)) == [(b"d", b"")]
    assert packets(answer(decided(action="tempfail", text="odd"), ALL)) == [(b"t", b"")]
    assert packets(answer(decided(action="reject", status="550 5.7.1", text="100% bad"), ALL)) == [(b"y", b"550 5.7.1 100%% bad\0")]
    assert packets(answer(decided(action="quarantine", text="bad\nVIRUS", fields=(b"X: 1",)), ALL)) == [
        (b"i", b"\0\0\0\0X\0 1\0"),
        (b"q", b"bad VIRUS\0"),
        (b"c", b""),
    ]


def test_changes_of_the_message() -> None:
    """The first Subject gets another value, and recipients go, before the new ones come."""
    decision = decided(changes=((b"Subject", b"[X] a\n\tb\r\0"),), removed=(b"c@d",), recipients=(b"e@f",))

    assert packets(answer(decision, ALL)) == [
        (b"m", b"\0\0\0\1Subject\0 [X] a\n\tb\0"),
        (b"-", b"<c@d>\0"),
        (b"+", b"<e@f>\0"),
        (b"c", b""),
    ]
    assert packets(answer(decision, MilterOptions(0x3D, 0)))[0][1].startswith(b"\0\0\0\1Subject\0[X]")


def test_a_leading_space_is_sent_where_it_was_agreed_on() -> None:
    assert packets(answer(decided(fields=(b"X: 1",)), MilterOptions(0x1, 0)))[0] == (b"i", b"\0\0\0\0X\x001\0")


@pytest.mark.parametrize(
    ("facts", "text"),
    [
        ({"fields": (b"X: 1",)}, "add header fields"),
        ({"recipients": (b"a@b",)}, "add recipients"),
        ({"action": "quarantine"}, "hold messages"),
        ({"removed": (b"a@b",)}, "delete recipients"),
        ({"changes": ((b"Subject", b"x"),)}, "change header fields"),
    ],
)
def test_what_was_not_offered_defers_the_message(facts: dict[str, Any], text: str) -> None:
    found = packets(answer(decided(**facts), MilterOptions()))

    assert found == [(b"y", b"451 4.3.5 the MTA does not let this milter %b\0" % text.encode())]


def test_replies_of_several_lines() -> None:
    found = reply("550 5.7.1", "\n\rVIRUS: ä\0\t!\r\n\n  100%\n")

    assert packets(found) == [(b"y", b"550-5.7.1 VIRUS: ?? !\r\n550 5.7.1 100%%\0")]


@given(st.sampled_from(["550 5.7.1", "451 4.7.1", "", "250 2.0.0", "550", "551 5.1.1 x"]), st.text(max_size=3000))
@example("550 5.7.1", "%" * 5000 + "\n" * 50 + "x\n" * 50)
def test_replies_are_safe_and_short(status: str, text: str) -> None:
    """Each line is one of RFC 5321, printable, with the code that was wanted; what is no refusal defers."""
    found = packets(reply(status, text))[0][1].removesuffix(b"\0")
    lines = found.replace(b"%%", b"?").split(b"\r\n")

    assert b"\0" not in found
    assert b"%" not in found.replace(b"%%", b"")
    assert len(lines) <= 10
    code, enhanced = status.encode().split() if status.startswith(("550 ", "451 ")) else (b"451", b"4.3.0")
    for number, line in enumerate(lines, 1):
        assert len(line) + 2 <= 512
        assert line.startswith(code + (b" " if number == len(lines) else b"-") + enhanced + b" ")
        assert line.isascii()
        assert line.decode().isprintable()


# ---- both sides


@given(st.binary(max_size=300), st.sampled_from([0, 0x100000, ALL.protocol]), st.integers(1, 400))
@example(b"A: 1\nB:2\n\tx\n\nbody\r\nline\n", ALL.protocol, 7)
def test_our_client_is_understood(message: bytes, protocol: int, step: int) -> None:
    """What filterlink's side says to a milter comes here as it was."""
    envelope = FilterEnvelope(b"a@b", (b"c@d", b"e@f"), b"ann", "192.0.2.1", b"helo.example", b"mx.example")
    mail = milterwire.MilterMessage("7", envelope, *milterwire.split([message]))
    sent = list(milterwire.commands(milterwire.Wanted(6, protocol), mail))
    data = b"".join(command.packet for command in sent)
    found = taken([data[at : at + step] for at in range(0, len(data), step)])

    assert [(command.letter, command.data) for command in found] == [(each.letter, each.packet[5:]) for each in sent]
    answered = MilterOptions(0, protocol).answered | {b"E"}
    assert [each.answered for each in sent] == [command.letter in answered for command in found]


@pytest.mark.parametrize(
    ("facts", "verdict"),
    [
        ({"action": "discard"}, discard()),
        ({"action": "reject", "status": "550 5.7.1", "text": "VIRUS"}, error("550 5.7.1 VIRUS")),
        ({"action": "tempfail", "status": "451 4.7.1", "text": "later"}, rejected("451 4.7.1 later")),
        ({"action": "tempfail"}, rejected("the milter says: not now")),
    ],
)
def test_our_client_understands_a_refusal(facts: dict[str, Any], verdict: Verdict) -> None:
    assert [milterwire.final(*each) for each in packets(answer(decided(**facts), ALL))] == [verdict]


def test_our_client_understands_what_may_go_on() -> None:
    outcome = milterwire.MilterOutcome()
    found = packets(answer(decided(action="quarantine", text="odd", fields=(b"X-A: 1", b"X-B: 2")), ALL))

    assert [outcome.take(*each) for each in found] == [False, False, False, True]
    assert outcome.quarantine == "odd"
    assert outcome.verdict().fields == ("X-B: 2", "X-A: 1")
