"""Demands on the envelope lines and the digest."""

import hashlib

import pytest

from enqueuer.queue.message import client, envelope

AT = "24-11-2026 10:00:00"


def test_lines_as_helpers_expect_them() -> None:
    """P, O, S, A, R and an empty line: one recipient makes five lines, and ClamAV wants the first to begin with `P I `."""
    made = envelope.make(b"a@a.example", [b"b@b.example"], AT, "host.example")
    text = made.above + envelope.Digest().line() + made.below

    lines = text.split(b"\n")
    assert [line[:2] for line in lines[:5]] == [b"P ", b"O ", b"S ", b"A ", b"R "]
    assert lines[0] == b"P I 24-11-2026 10:00:00 0000 ____ ____ <a@a.example>"
    assert lines[4] == b"R W 24-11-2026 10:00:00 0000 ____ _FY_ <b@b.example>"
    assert lines[5:] == [b"", b""]


def test_o_line_tells_length_and_digest_of_all_but_itself() -> None:
    """Anybody can check a file with sha256sum and a little arithmetic."""
    data = b"P line\n" + b"rest"
    line = envelope.Digest(data).line()

    assert line == b"O L v1 %015d %s 00000000\n" % (len(data), hashlib.sha256(data).hexdigest()[:32].encode())
    assert len(line) == envelope.O_LENGTH
    assert envelope.parse_o(b"P x\n" + line) == envelope.OLine(4, len(data), hashlib.sha256(data).hexdigest()[:32].encode(), b"00000000")


def test_parse_reads_what_make_wrote() -> None:
    made = envelope.make(b"", [b"b@b.example", b"c@c.example"], AT, "host.example")

    assert envelope.parse(made.above + made.below) == made


@pytest.mark.parametrize(
    "text",
    [
        b"S <user1@test.test> SMTP [10.4.0.159]\nA t.test [10.21.2.87]\nO L\nP I 26-04-2019 15:57:14 0000 ____ ____ <u@t.test>\n"
        b"R W 26-04-2019 15:57:14 0000 ____ _FY_ <v@t.test>\n\n",
        b"P I 17-09-2001 09:52:33 0000 ____ ____ <u@t.test>\nO T\nS SMTP [1.2.3.4]\nR W 17-09-2001 09:52:33 0000 ____ _FY_ <v@t.test>\n\n",
        b"Z unknown\nP I x <u@t.test>\nR W <odd> x <v@t.test>\n\n",
    ],
)
def test_queue_files_of_others_are_read_in_any_order(text: bytes) -> None:
    """The original writes the lines in many orders; of several brackets the last pair counts."""
    found = envelope.parse(text)

    assert (found.sender, found.recipients) == (b"u@t.test", (b"v@t.test",))


def test_without_a_p_line_it_is_no_queue_file() -> None:
    with pytest.raises(ValueError, match="no P line"):
        envelope.parse(b"Subject: hello\n\n")


def test_only_keeps_a_modules_recipients() -> None:
    """A module's file names that module's recipients and nobody else."""
    made = envelope.make(b"a@a.example", [b"b@b.example", b"c@c.example"], AT, "h")
    less = made.only(frozenset([b"c@c.example"]))

    assert less.recipients == (b"c@c.example",)
    assert b"b@b.example" not in less.below
    assert less.above == made.above


def test_head_end() -> None:
    assert envelope.head_end(b"P x\n\nSubject: y") == 5
    assert envelope.head_end(b"P x\n") == -1


@pytest.mark.parametrize(
    ("of", "source", "by"),
    [
        (client.NOBODY, b"S PIPE [0.0.0.0]", b"A h"),
        (client.given(b"192.0.2.1"), b"S SMTP [192.0.2.1]", b"A h"),
        (client.given(b"2001:db8::1", account=b"u@v"), b"S <u@v> SMTP [2001:db8::1]", b"A h"),
        (client.given(account=b"u"), b"S <u> PIPE [0.0.0.0]", b"A h"),
        (client.given(b"192.0.2.1", b"mx.example", b"mx"), b"S SMTP [192.0.2.1]", b"A h name=mx.example helo=mx"),
        (client.given(helo=b"[::1] uid=7\nR <e@f>"), b"S PIPE [0.0.0.0]", b"A h helo=%5B::1%5D%20uid%3D7%0AR%20%3Ce@f%3E"),
    ],
)
def test_the_client_is_where_helpers_look_for_it(of: client.RemoteClient, source: bytes, by: bytes) -> None:
    """In the form of CommuniGate Pro, and still in five lines; what a client calls itself is no word and no line of its own."""
    made = envelope.make(b"a@a.example", [b"b@b.example"], AT, "h", of)

    assert made.lines[1:3] == (source + b"\n", by + b"\n")
    assert len(made.lines) == 4
    assert (made.dropper, made.recipients) == (None, (b"b@b.example",))
    assert envelope.parse(made.above + made.below) == made
    assert envelope.make(b"", [b"b@b.example"], AT, "h", of, dropper=0).dropper == 0


def test_words_on_the_a_line_are_read_back() -> None:
    """Any bytes; the last one counts; a file of another program gets an A line."""
    made = envelope.make(b"a@a.example", [b"b@b.example"], "24-11-2026 10:00:00", "h", dropper=7)
    more = made.with_words(client.words((b"did", b"0123abcd"))).with_words(client.words((b"did", b"x y=%\n")))

    assert (made.word(b"did"), more.word(b"did"), more.word(b"uid"), more.word(b"h")) == (b"", b"x y=%\n", b"7", b"")
    assert envelope.parse(more.above + more.below) == more
    assert more.only(frozenset()).word(b"did") == b"x y=%\n"
    assert (more.dropper, len(more.lines)) == (7, len(made.lines))
    foreign = envelope.parse(b"P I x <a@a.example>\nR W <b@b.example>").with_words(client.words((b"did", b"1")))
    assert (foreign.word(b"did"), foreign.recipients) == (b"1", (b"b@b.example",))
