"""What ICAP servers answer, read whole and byte by byte."""

import hashlib

import pytest

from filterlink.filters.runtime.finding import ScannerFinding
from filterlink.filters.servers.icapwire import BadIcapReply, IcapReply, Options, Pieces, Question, finding, read_options

SAME = hashlib.sha256(b"Subject: x\n\nhello\n").digest()
BODY = b"5\r\nSubje\r\nd; x=y\r\nct: x\n\nhello\n\r\n0\r\n\r\n"
HTTP = b"HTTP/1.1 %b\r\nA: b\r\n\r\n"


def read(data: bytes, step: int = 1) -> IcapReply:
    reply = IcapReply()
    for at in range(0, len(data), step):
        if reply.decided:
            break
        assert not reply.complete
        reply.feed(data[at : at + step])
    assert reply.complete
    return reply


def answer(fields: bytes = b"", http: bytes = b"200 OK", body: bytes = BODY) -> bytes:
    head = HTTP % http
    return b"ICAP/1.0 200 OK\r\n%bEncapsulated: res-hdr=0, res-body=%d\r\n\r\n%b%b" % (fields, len(head), head, body)


@pytest.mark.parametrize("step", [1, 7, 100_000])
@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"ICAP/1.0 204 Unmodified\r\n\r\n", ScannerFinding()),
        (answer(), ScannerFinding()),
        (answer(body=b"1\r\nx\r\n0\r\nTrailer: y\r\n\r\n"), ScannerFinding("changed by the ICAP server")),
        (answer(http=b"403 Forbidden"), ScannerFinding("blocked by the ICAP server (403)")),
        (answer(b"X-Infection-Found: Type=0; Resolution=2; Threat=Eicar-Test;\r\n", b"403 No"), ScannerFinding("Eicar-Test")),
        (answer(b"X-Virus-ID: Eicar\r\n"), ScannerFinding("Eicar")),
        (answer(b"X-Violations-Found: 1\r\n\tmail.eml\r\n\tEicar\r\n\t11\r\n\t0\r\n"), ScannerFinding("Eicar")),
        (answer(b"X-Violations-Found: 0\r\n"), ScannerFinding()),
        (b"ICAP/1.0 413 Too large\r\n\r\n", ScannerFinding(trouble="413 Too large")),
        (b"ICAP/1.0 204 No\r\nX-Infection-Found: Type=0; Resolution=0; Threat=Seen;\r\n\r\n", ScannerFinding("Seen")),
    ],
)
def test_what_answers_mean(data: bytes, found: ScannerFinding, step: int) -> None:
    """An answer that is what we sent is clean; any other is not, by the name that is in it."""
    assert finding(read(data, step), SAME) == found


@pytest.mark.parametrize("body", [b"", b"xyz", b"ffffff\r\n", b"5\r\nSubje\r\n"])
@pytest.mark.parametrize(
    ("head", "found"),
    [
        (answer(b"X-Virus-ID: Eicar\r\n", body=b""), ScannerFinding("Eicar")),
        (answer(http=b"403 No", body=b""), ScannerFinding("blocked by the ICAP server (403)")),
    ],
)
def test_a_head_that_decides_needs_no_body(head: bytes, found: ScannerFinding, body: bytes) -> None:
    """Broken, endless or missing: the threat that the head names counts, and so does a refusal."""
    assert finding(read(head + body), SAME) == found


@pytest.mark.parametrize("data", [b"ICAP/1.0 500 Broken\r\n\r\n", b"ICAP/1.0 404 Not found\r\n\r\n", b"ICAP/1.0 206 Part\r\n\r\n"])
def test_what_is_the_servers_fault(data: bytes) -> None:
    """No message is judged by it."""
    with pytest.raises(BadIcapReply):
        finding(read(data), SAME)


@pytest.mark.parametrize("data", [b"HTTP/1.0 200 OK\r\n\r\n", answer(body=b"xyz\r\n"), b"x" * 70_000])
def test_what_is_no_answer(data: bytes) -> None:
    """It is told at once, in bounded memory."""
    with pytest.raises(BadIcapReply):
        IcapReply().feed(data)


def test_options_are_read() -> None:
    """Size of the preview and 204 as offered; a service without RESPMOD can't be asked."""
    head = b"ICAP/1.0 200 OK\r\nEncapsulated: null-body=0\r\n"
    assert read_options(read(head + b"Methods: RESPMOD, REQMOD\r\nAllow: 204, 206\r\nPreview: 1024\r\nOptions-TTL: 60\r\n\r\n")) == Options(
        1024, True, 60
    )
    assert read_options(read(head + b"Methods: RESPMOD\r\n\r\n")) == Options()
    with pytest.raises(BadIcapReply):
        read_options(read(head + b"Methods: REQMOD\r\n\r\n"))


@pytest.mark.parametrize(
    ("preview", "first", "rest"),
    [
        (None, b"4\r\nabcd\r\n2\r\nef\r\n0\r\n\r\n", b"0\r\n\r\n"),
        (0, b"0\r\n\r\n", b"4\r\nabcd\r\n2\r\nef\r\n0\r\n\r\n"),
        (5, b"5\r\nabcde\r\n0\r\n\r\n", b"1\r\nf\r\n0\r\n\r\n"),
        (6, b"6\r\nabcdef\r\n0; ieof\r\n\r\n", b"0\r\n\r\n"),
    ],
)
def test_the_preview_is_what_it_says(preview: int | None, first: bytes, rest: bytes) -> None:
    """A message that is in it whole says so; every byte is counted once."""
    question = Question("a:1", "b", 6, "1.eml")
    pieces = Pieces([b"abcd", b"ef"])

    assert b"".join(question.preview(pieces, Options(preview))) == first
    assert b"".join(question.rest(pieces)) == rest
    assert pieces.digest == hashlib.sha256(b"abcdef").digest()


def test_offsets_of_the_question() -> None:
    """They are where the parts begin."""
    icap, _, parts = Question("a:1", "b", 6, "1.eml", "192.0.2.1").head(Options(5, True)).partition(b"\r\n\r\n")

    assert icap.startswith(b"RESPMOD icap://a:1/b ICAP/1.0\r\nHost: a:1\r\n")
    assert b"req-hdr=0, res-hdr=%d, res-body=%d\r\n" % (parts.index(b"HTTP/1.1 200"), len(parts)) in icap
    assert all(field in icap for field in (b"Allow: 204", b"Preview: 5", b"X-Client-IP: 192.0.2.1"))


@pytest.mark.parametrize("odd", [b"\x85", b"\x0b", b"\x0c", b"\x1c", b"\xe2\x80\xa8"])
def test_only_line_ends_end_a_field(odd: bytes) -> None:
    """What str.splitlines() takes for a line end is part of a value: a server's text makes no field of its own."""
    found = finding(read(answer(b"X-Virus-ID: Eicar" + odd + b"X-Infection-Found: Threat=fake;\r\n")), SAME)

    assert found.name.startswith("Eicar")
