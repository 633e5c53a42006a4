"""The helper protocol: what real helpers write is understood, whole or byte by byte, and nothing grows without limit."""

import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from filterlink.protocol import protocol
from filterlink.protocol.protocol import MAX_ROUTES, Event, HelperReply, Interface, Note, Reader, ServerReport
from filterlink.protocol.strings import MAX_COMPLAINTS
from filterlink.wire.frames import MAX_TEXT, AnswerKind, FilterAnswer


def read(data: bytes, step: int = 0, max_line: int = protocol.MAX_LINE) -> list[Event]:
    """All events of `data`, fed whole or `step` bytes at a time."""
    reader = Reader(max_line)
    events: list[Event] = []
    for at in range(0, len(data), step or len(data) or 1):
        events += reader.feed(data[at : at + (step or len(data))])
    if (rest := reader.finish()) is not None:
        events.append(rest)
    return events


def test_commands() -> None:
    """Each command is one line, numbers plain, the path without quotes."""
    assert protocol.intf(1) == b"1 INTF 4\n"
    assert protocol.file(23, "Queue/17.msg") == b"23 FILE Queue/17.msg\n"
    assert protocol.quit(4) == b"4 QUIT\n"


@pytest.mark.parametrize(
    ("line", "kind", "text", "fields"),
    [
        (b"7 OK", AnswerKind.OK, "", ()),
        (b"7 ok", AnswerKind.OK, "", ()),
        (b"00007 OK", AnswerKind.OK, "", ()),
        (b"  7   OK  ", AnswerKind.OK, "", ()),
        (b"7\tOK", AnswerKind.OK, "", ()),
        (b"7 OK\r", AnswerKind.OK, "", ()),
        (b"7 OK the domain is not served", AnswerKind.OK, "", ()),
        (b"7 DISCARD", AnswerKind.DISCARD, "", ()),
        (b'7 ERROR "EICAR found"', AnswerKind.ERROR, "EICAR found", ()),
        (b'7 ERROR  "two blanks"  ', AnswerKind.ERROR, "two blanks", ()),
        (b'7 error "say \\"no\\"\\ebye"', AnswerKind.ERROR, 'say "no"\nbye', ()),
        (b"7 ERROR", AnswerKind.ERROR, "", ()),
        (b"7 REJECTED can't open X: no such file", AnswerKind.REJECTED, "can't open X: no such file", ()),
        (b"7 REJECTED Try again later \r", AnswerKind.REJECTED, "Try again later", ()),
        (b"7 FAILURE", AnswerKind.FAILURE, "", ()),
        (b'7 FAILURE "no licence"', AnswerKind.FAILURE, "no licence", ()),
        (b'7 ADDHEADER "X-A: 1"', AnswerKind.OK, "", (b"X-A: 1",)),
        (b'7 ADDHEADER "X-A: 1" OK', AnswerKind.OK, "", (b"X-A: 1",)),
        (b'7 addheader "X-A: 1\\eX-B: 2\\n" ok', AnswerKind.OK, "", (b"X-A: 1", b"X-B: 2")),
        (b'7 ADDHEADER "X-A: a\\e\\tb" ADDHEADER "X-B: 2" OK', AnswerKind.OK, "", (b"X-A: a\n\tb", b"X-B: 2")),
        (b"7 ADDHEADER X-A: bare words", AnswerKind.OK, "", (b"X-A: bare words",)),
        (b'7 ADDHEADER "X-A: 1" ERROR "no"', AnswerKind.ERROR, "no", (b"X-A: 1",)),
    ],
)
def test_verdicts(line: bytes, kind: AnswerKind, text: str, fields: tuple[bytes, ...]) -> None:
    """Every form of an answer that a known helper writes gives its verdict, and no complaint."""
    assert read(line + b"\n") == [HelperReply(7, FilterAnswer(kind, text, fields), (), line.rstrip(b"\r"))]


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (b"7", AnswerKind.INVALID),
        (b"7 FILE Queue/5.msg", AnswerKind.FAILURE),
        (b"7 OKAY", AnswerKind.INVALID),
        (b"7 \xff\0\x1b[2J", AnswerKind.INVALID),
    ],
)
def test_unknown_answers(line: bytes, kind: AnswerKind) -> None:
    """An unknown word is a fault of the filter, an echo of the request is FAILURE; both with a complaint that is safe to log."""
    [reply] = read(line + b"\n")
    assert isinstance(reply, HelperReply)
    assert reply.answer.kind == kind
    assert ("counts as FAILURE" if kind is AnswerKind.FAILURE else "not an answer of the protocol") in reply.complaints[0]
    assert reply.complaints[0].isprintable()


@pytest.mark.parametrize("verb", ["ADDROUTE", "addroute", "MIRRORTO", "mirrorto"])
@pytest.mark.parametrize("address", ["a@b.example", "<a@b.example>", '"a@b.example"', '"<a@b.example>"'])
def test_routes(verb: str, address: str) -> None:
    """ADDROUTE adds a recipient, MIRRORTO wants a copy of its own; beside fields and the verdict, in any order."""
    [reply] = read(f'7 {verb} {address} ADDHEADER "X-A: 1" {verb} c OK\n'.encode())

    assert isinstance(reply, HelperReply)
    found, other = (reply.answer.routes, reply.answer.copies) if verb.upper() == "ADDROUTE" else (reply.answer.copies, reply.answer.routes)
    assert (reply.answer.kind, found, other) == (AnswerKind.OK, (b"a@b.example", b"c"), ())
    assert (reply.answer.fields, reply.complaints) == ((b"X-A: 1",), ())


@pytest.mark.parametrize("address", ['""', '"a b@c"', '"a@b\\nR W <x@y>"', '"a\x01@b"', "a" * 1001, '"a>b@c"', '"a@b\\eBcc: x"'])
def test_no_address_reaches_the_envelope_that_would_break_it(address: str) -> None:
    """It is complained of, and the verdict stays."""
    [reply] = read(f"7 MIRRORTO {address} OK\n".encode())

    assert isinstance(reply, HelperReply)
    assert (reply.answer.kind, reply.answer.routes, reply.answer.copies, len(reply.complaints)) == (AnswerKind.OK, (), (), 1)
    assert "address of MIRRORTO refused" in reply.complaints[0]


def test_a_flood_of_recipients_is_cut() -> None:
    """Both kinds together have one limit; how many are refused is one complaint."""
    [reply] = read(b"7 " + b"".join(b"ADDROUTE a%d@b MIRRORTO a%d@c " % (n, n) for n in range(MAX_ROUTES)) + b"OK\n")

    assert isinstance(reply, HelperReply)
    assert (reply.answer.kind, len(reply.answer.routes), len(reply.answer.copies)) == (AnswerKind.OK, MAX_ROUTES // 2, MAX_ROUTES // 2)
    assert reply.complaints == (f"{MAX_ROUTES} recipients and copies refused: an answer adds at most {MAX_ROUTES}",)


def test_refused_fields_keep_the_verdict() -> None:
    """A field that cannot be added is a complaint; the others and the verdict stand."""
    [reply] = read(b'7 ADDHEADER "X-A: 1\\enonsense\\eX-B: \\r2" OK\n')

    assert isinstance(reply, HelperReply)
    assert (reply.answer.kind, reply.answer.fields, len(reply.complaints)) == (AnswerKind.OK, (b"X-A: 1",), 2)


def test_information_and_stray_lines() -> None:
    """A line with an asterisk is information; one without a number is a complaint; an empty one is nothing."""
    events = read(b"* hello\n*\n \n\r\nhello\n*7 OK\n-7 OK\n")

    assert [(type(event), getattr(event, "complaint", "").partition(":")[0]) for event in events] == [
        (Note, ""),
        (Note, ""),
        (Note, "line without a number"),
        (Note, ""),
        (Note, "line without a number"),
    ]


def test_interface() -> None:
    """The answer to INTF is its version."""
    assert read(b"00001 intf 3\r\n") == [Interface(1, 3, b"00001 intf 3")]
    assert [type(event) for event in read(b"1 INTF\n1 INTF none\n")] == [HelperReply, HelperReply]


@pytest.mark.parametrize(
    ("line", "answers"),
    [
        (b"7 OK8 FAILURE\n\n", [(7, AnswerKind.OK), (8, AnswerKind.FAILURE)]),
        (b"7 OK 8 OK \n\n", [(7, AnswerKind.OK), (8, AnswerKind.OK)]),
        (b"7 OK8 OK9 OK10 DISCARD\n", [(7, AnswerKind.OK), (8, AnswerKind.OK), (9, AnswerKind.OK), (10, AnswerKind.DISCARD)]),
        (b'7 ERROR "a"8 ERROR "b"\n', [(7, AnswerKind.ERROR), (8, AnswerKind.ERROR)]),
        (b'7 ADDHEADER "a: b"8 OK\n', [(7, AnswerKind.OK), (8, AnswerKind.OK)]),
        (b'7 ADDHEADER "a: b" OK8 ok\r\n', [(7, AnswerKind.OK), (8, AnswerKind.OK)]),
        (b"7 FAILURE8 OK\n", [(7, AnswerKind.FAILURE), (8, AnswerKind.OK)]),
        (b"7 OK in 8 seconds\n", [(7, AnswerKind.OK)]),
    ],
)
def test_glued_answers(line: bytes, answers: list[tuple[int, AnswerKind]]) -> None:
    """Two threads that write at once lose no answer; the line itself is told once."""
    replies = [event for event in read(line) if isinstance(event, HelperReply)]

    assert [(reply.number, reply.answer.kind) for reply in replies] == answers
    assert [bool(reply.line) for reply in replies] == [True] + [False] * (len(answers) - 1)


def test_long_answers_come_whole() -> None:
    """The protocol's 4096 bytes bind helpers, not us."""
    report = "x" * 50_000
    assert read(f'7 ERROR "{report}"\n'.encode(), step=1000)[0] == HelperReply(
        7, FilterAnswer(AnswerKind.ERROR, report, ()), (), f'7 ERROR "{report}"'.encode()
    )


def test_unfinished_line_is_no_answer() -> None:
    """A helper that ends in the middle of a line has not answered: the rest may have said otherwise."""
    [note] = read(b"7 OK")

    assert isinstance(note, Note)
    assert "ended in the middle of a line: '7 OK'" in note.complaint


def test_a_line_without_end_is_cut() -> None:
    """Keep the beginning of a line that is too long, drop the rest with one complaint, and read the next line."""
    for step in (0, 1, 7):
        events = read(b"7 ERROR " + b"x" * 500 + b"\n8 OK\n", step, max_line=100)
        assert isinstance(events[0], Note)
        assert "line of more than 100 bytes" in events[0].complaint
        assert [(event.number, event.answer.kind) for event in events[1:] if isinstance(event, HelperReply)] == [
            (7, AnswerKind.ERROR),
            (8, AnswerKind.OK),
        ]
        assert len(events) == 3


def test_memory_is_bounded() -> None:
    """A helper that never ends its line costs no more than the longest line."""
    reader = Reader(max_line=1000)
    for _ in range(1000):
        reader.feed(b"x" * 999)

    assert len(reader._partial) <= 1000


@pytest.mark.parametrize(
    "line",
    [
        b"7 OK" * 250_000,
        b"7 FAILURE" * 110_000,
        b'7 ERROR "x"' * 90_000,
        b'7 ADDHEADER "' + b"x\\e" * 340_000 + b'"',
        b"7 " + b'ADDHEADER "a:b" ' * 65_000 + b"OK",
        b"7 " + b"MIRRORTO a " * 95_000 + b"OK",
        b'7 ADDHEADER "' + b"\\" * 1_000_001,
        b"7 " + b' "' * 500_000,
        b"x\n" * 200_000,
    ],
    ids=lambda line: line[:20].decode(),
)
def test_no_line_takes_long(line: bytes) -> None:
    """A megabyte of whatever is read in linear time, with a bounded number of complaints for each answer."""
    began = time.process_time()
    events = read(line + b"\n", step=65536)

    assert time.process_time() - began < 5
    assert all(len(event.complaints) <= MAX_COMPLAINTS for event in events if isinstance(event, HelperReply))
    assert all(sum(map(len, event.answer.fields)) <= MAX_TEXT for event in events if isinstance(event, HelperReply))


PIECES = st.sampled_from(
    [
        b"7 OK",
        b"8 ",
        b'"',
        b"\\",
        b"\\e",
        b"X-A: 1",
        b"\r",
        b"\n",
        b" ",
        b"* note",
        b"ADDHEADER ",
        b'ERROR "no"',
        b"INTF 3",
        b"MIRRORTO ",
        b"\xff",
        b"9",
    ]
)


@settings(max_examples=300, deadline=None)
@given(st.lists(PIECES, max_size=30).map(b"".join), st.integers(1, 9))
@example(b"7 OK8 FAILURE\r\n\r\n9 OK\n", 1)
def test_pieces_make_no_difference(data: bytes, step: int) -> None:
    """However the bytes arrive, the same events come out."""
    assert read(data) == read(data, step) == read(data, 1)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_no_bytes_break_the_reader(data: bytes) -> None:
    """Whatever a helper writes gives events whose complaints are safe to log."""
    for event in read(data, max_line=64):
        complaints = (event.complaint,) if isinstance(event, Note) else event.complaints if isinstance(event, HelperReply) else ()
        assert all(complaint.isprintable() for complaint in complaints)


@pytest.mark.parametrize(
    "line",
    [
        b'7 ADDHEADER "X-A: b" REJECTD "virus"',
        b"7 ADDROUTE a@b.example FAILURX",
        b'7 ADDHEADER "X-A: b" 123 garbage',
        b'7 ADDHEADER "X-A: b" "OK"',
        b'7 ADDHEADER "X-A: ' + b"b" * (1 << 20) + b'" REJECTED "virus"',
    ],
)
def test_what_follows_added_fields_is_a_verdict_or_no_answer(line: bytes) -> None:
    """The modifier alone is the answer of old helpers; with anything behind it that is no verdict nothing passes."""
    replies = [event for event in read(line + b"\n") if isinstance(event, HelperReply)]

    assert [(reply.number, reply.answer.kind) for reply in replies] == [(7, AnswerKind.INVALID)]


@pytest.mark.parametrize(
    ("line", "trouble"),
    [
        (b'* UNAVAILABLE "/run/x: \\"refused\\""', '/run/x: "refused"'),
        (b"* UNAVAILABLE", "its server does not answer"),
        (b'* UNAVAILABLE ""', "its server does not answer"),
        (b"* AVAILABLE", ""),
        (b'* AVAILABLE "again"\r', ""),
    ],
)
def test_reports_about_a_server(line: bytes, trouble: str) -> None:
    [event] = read(line + b"\n")
    assert isinstance(event, ServerReport)
    assert event.trouble == trouble


@pytest.mark.parametrize("line", [b"* available", b"* UNAVAILABLE now", b'*UNAVAILABLE "x"', b"* note UNAVAILABLE", b"*"])
def test_other_information_is_no_report(line: bytes) -> None:
    [event] = read(line + b"\n")
    assert isinstance(event, Note)
    assert (isinstance(event, ServerReport), event.complaint) == (False, "")


def test_a_long_report_is_cut() -> None:
    [event] = read(b'* UNAVAILABLE "' + b"x" * 100_000 + b'"\n')
    assert isinstance(event, ServerReport)
    assert len(event.trouble) == protocol.MAX_TROUBLE
