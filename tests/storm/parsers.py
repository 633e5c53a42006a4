"""Build the fuzz storm's inputs other than mail content: wires of servers, helper protocol, header of a drop, config, control."""

from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec
from hypothesis import strategies as st

from enqueuer.config import schema
from enqueuer.control import server
from enqueuer.ipc import frames
from enqueuer.queue.directory import names
from enqueuer.queue.message import client, envelope, header
from filterlink.config import units
from filterlink.filters.runtime.envelope import FilterEnvelope
from filterlink.filters.runtime.verdict import MAX_REPLY, reply
from filterlink.filters.servers import clamdwire, icapwire, milterpackets, milterwire, rspamdwire, spamc
from filterlink.filters.servers.answer import BadAnswer, ServerAnswer
from filterlink.protocol import protocol, referee
from filterlink.wire import frames as link_frames

__all__ = ["WIRES", "Parser", "woven"]


class Parser(NamedTuple):
    """The inputs of a parser, its function, and the errors that it may raise."""

    name: str
    strategy: st.SearchStrategy[Any]
    call: Callable[[Any], object]
    errors: tuple[type[Exception], ...] = ()


def woven(*pieces: bytes) -> st.SearchStrategy[bytes]:
    """Make inputs of these pieces in any order, with noise between them."""
    piece = st.one_of(st.sampled_from(pieces), st.sampled_from(pieces), st.binary(max_size=6))
    return st.lists(piece, max_size=40).map(b"".join)


def cut(*pieces: bytes) -> st.SearchStrategy[list[bytes]]:
    """Make a list of reads, each of such pieces."""
    return st.lists(woven(*pieces), max_size=4)


def words(*lines: bytes) -> list[bytes]:
    """Return the pieces between the bars of all lines."""
    return [piece for line in lines for piece in line.split(b"|")]


SPAMD = words(
    b"SPAMD/1.1 |HTTP/1.0 |0 EX_OK|200 OK|76|\r\n|\n|\r\n\r\n|Content-length: |5|99999999",
    b"Spam: |True ; |5.0 / 3.0|nan / inf|X-Spam-A: b\n|\tc\n|\xff",
)
CLAMD = words(b"1: |2: |stream: |fd[10]: |OK|X FOUND|ERROR|\0|Heuristics.Limits.Exceeded|\xff|999999999999")
ICAP = words(
    b"ICAP/1.0 |200 OK|204 No|100 Continue|\r\n|\n|Encapsulated: |res-hdr=0, |res-body=|null-body=0|X-Infection-Found: Type=0; Threat=X;",
    b"X-Violations-Found: 1\r\n\tx\r\n|HTTP/1.1 403 No\r\n\r\n|5\r\nhello\r\n|0\r\n\r\n|Methods: RESPMOD|Preview: |Options-TTL: ",
    b"Allow: 204|19|ffffffff\r\n",
)
MILTER = [milterpackets.packet(letter.encode(), data) for letter in "OchiqymbpadrtfRs+-2e4" for data in (b"", b"X-A\0b\0", b"\0\0\0\1X\0y")]
MILTER += [b"\0\0\0\0", b"\xff\xff\xff\xff", milterwire.OFFER, b"550 no\0"]
RSPAMD = words(
    b'{"action": |"reject"|"no action"|"tag"|, "score": |null|1e308|-1|1e999|, "symbols": |{|}|"A": {"score": 1}|, "subject": "x"',
    b', "milter": {"add_headers": |{"X-A": [|"b\\r\\nc"|]}|, "messages": |"\\ud800"|, "dkim-signature": |{"value": 1}|',
    b', "required_score": null',
    b"[" * 2000,
)
HELPER = words(
    b"7 |8 |OK|ERROR |REJECTED |DISCARD|FAILURE|ADDHEADER |ADDROUTE |MIRRORTO |INTF 4|FILE x|\n|\r\n|* note",
    b'"|\\|\\e|\\n|X-A: b|<a@b>|\0|\xff|9999999999999999999| |\t',
)
HEADER = words(
    b"From: |To: |Cc:|Bcc: |Return-Path:|Envelope-To: |Envelope-Ignore: |Message-ID: <1@a>|\n|\r\n| |\t|a@b.example|<c@d>",
    b'"|\\|(|)|,|;|:|@|<|>|\0|\xff|Received: x|X-Enqueuer-Trace: F|Envelope-Client: 0 ip=1 helo=%0A',
)
ENVELOPE = words(b"P I |O L v1 |S |A |R W |<a@b>|<|000000000000000| |ffffffffffffffffffffffffffffffff| 00000000|\n|\n\n|\xff")
TOML = words(
    b'[enqueuer]\n|[spool]\n|[[filters]]\n|[[rules]]\n|[[routes]]\n|rules = []\n|recipient = "*"\n|to = "OUT"\n|name = "A"\n',
    b'program = "true"\n|actions = [["ExternalFilter", "A"]]\n|processors = |timeout = |memory_limit = |max_size = |"1M"|"99999999999999',
    b'T"|-1|1e400|nan|inf|true|[|]|{|}|\n|"|\'|=|\0|\xed|"never"|on_failure = "defer"\n',
    b"[" * 500,
)
CONTROL = words(
    b'{"command": |"status"|"retry"|"where"|, "id": |true|-1|9223372036854775808|1.0|0|, "now": |}|"|null|{|\xff|"x": 1|"\\ud800"',
    b"[" * 3000,
)


def _answer(pieces: list[bytes]) -> None:
    answer = ServerAnswer()
    for piece in pieces:
        answer.feed(piece)
    answer.end()
    found = spamc.finding(answer)
    assert len(reply(spamc_verdict(found))) <= MAX_REPLY


def spamc_verdict(found: spamc.SpamdFinding) -> Any:
    from filterlink.filters.runtime.verdict import header as added

    return added((*spamc.spam_fields(found.body), *spamc.own_fields(found)))


def _clamd(pieces: list[bytes]) -> None:
    replies = clamdwire.Replies()
    for piece in pieces:
        replies.feed(piece)
        while (found := replies.take()) is not None:
            what = clamdwire.finding(found[1])
            assert what.name or what.trouble or what.fault or found[1].endswith(": OK")


def _icap(pieces: list[bytes]) -> None:
    answer = icapwire.IcapReply()
    for piece in pieces:
        if not answer.complete:
            answer.feed(piece)
    if answer.complete:
        icapwire.read_options(answer) if answer.code == 200 and not answer.decided else icapwire.finding(answer, b"")


def _milter(pieces: list[bytes]) -> None:
    packets = milterwire.Packets()
    outcome = milterwire.MilterOutcome()
    for piece in pieces:
        packets.feed(piece)
        while (found := packets.take()) is not None:
            if found[0] == b"O":
                milterwire.read_offer(*found)
            elif found[0] != b"a" and milterwire.final(*found) is None:
                outcome.take(*found)
    assert len(reply(outcome.verdict())) <= MAX_REPLY


def _told(data: bytes) -> None:
    """Encode any message for a milter."""
    head, body = milterwire.split([data[:7], data[7:]])
    list(milterwire.commands(milterwire.Wanted(), milterwire.MilterMessage("1", FilterEnvelope(), head, body)))


def _rspamd(data: bytes) -> None:
    said = rspamdwire.verdict(rspamdwire.read_result(data), 0.0, rspamdwire.ActionRules(result_for_all=True))
    assert len(reply(said)) <= MAX_REPLY
    assert said.word != "FAILURE"


def _helper(pieces: list[bytes]) -> None:
    reader = protocol.Reader()
    for piece in pieces:
        for event in reader.feed(piece):
            if isinstance(event, protocol.HelperReply):
                assert all(b"\n" not in address for address in event.answer.routes + event.answer.copies)
                assert all(text.isprintable() for text in event.complaints)
    reader.finish()


def _header(data: bytes) -> None:
    header.hops(data)
    header.kinds(data, [b"a@b"], b"body")
    header.header_end(data)
    found = header.read(data)
    assert client.read(found.client, b"key", found.below) == client.NOBODY
    made = envelope.make(found.sender, found.recipients, "01-01-2026 00:00:00", "a.example")
    assert envelope.parse(made.above + b"O" * (envelope.O_LENGTH - 1) + b"\n" + made.below).recipients == found.recipients


def _names(name: bytes) -> None:
    text = name.decode("utf-8", "surrogateescape")
    for parse in (names.parse_queue, names.parse_staged, names.parse_shelf):
        parse(text)
    names.parse_taken(name)


FRAMES = (
    *(frames.decode_to_supervisor, frames.decode_to_manager, frames.decode_from_manager, frames.decode_from_supervisor),
    *(frames.decode_to_filterlink, msgspec.msgpack.Decoder(link_frames.Hello | link_frames.Ask).decode),
)
PACKED = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 64) - 1)
    | st.floats()
    | st.binary(max_size=8)
    | st.sampled_from(["hello", "job", "outcome", "deferred", "wake", "ask", "config", "order", "seen", "processor", "manager"]),
    lambda inner: st.lists(inner, max_size=8),
    max_leaves=20,
).map(msgspec.msgpack.encode)


def _frame(data: bytes) -> None:
    for decode in FRAMES:
        try:
            decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            continue


WIRES = [
    Parser("spamd", cut(*SPAMD), _answer, (BadAnswer,)),
    Parser("clamd", cut(*CLAMD), _clamd, (clamdwire.BadClamdReply,)),
    Parser("icap", cut(*ICAP), _icap, (icapwire.BadIcapReply,)),
    Parser("milter", cut(*MILTER), _milter, (milterwire.BadPacket,)),
    Parser("mail for a milter", woven(*HEADER), _told),
    Parser("rspamd", woven(*RSPAMD), _rspamd, (rspamdwire.BadResult,)),
    Parser("helper protocol", cut(*HELPER), _helper),
    Parser("referee", woven(*HELPER).map(lambda data: data.replace(b"\n", b" ")), lambda line: list(referee.faults(line))),
    Parser("header", woven(*HEADER), _header, (header.HeaderError,)),
    Parser("envelope lines", woven(*ENVELOPE), envelope.parse, (ValueError,)),
    Parser("O line", woven(*ENVELOPE), lambda data: (envelope.parse_o(data), envelope.head_end(data))),
    Parser("names of files", woven(b"17", b".", b"msg", b"done", b"OUT", b"-why", b"/", b"eml", b"0", b"9" * 30), _names),
    Parser("config", woven(*TOML), schema.load, (schema.ConfigError,)),
    Parser("sizes", st.text(alphabet="0123456789KMGT.-e \u0663", max_size=30), units.Size.parse, (ValueError,)),
    Parser("durations", st.text(alphabet="0123456789smhd.-e nevr", max_size=30), units.Seconds.parse, (ValueError,)),
    Parser("control", woven(*CONTROL), server.read_request, (ValueError,)),
    Parser("frames", st.one_of(PACKED, st.binary(max_size=40)), _frame),
]
