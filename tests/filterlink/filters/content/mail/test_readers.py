import email.message
from collections.abc import Callable, Iterator

import fast_mail_parser
import pytest

from filterlink.filters.content.limits.member import Look, no_clock
from filterlink.filters.content.mail.readers import LeafFound, TooMuch, by_email, by_rust
from filterlink.filters.content.mime import parts
from tests.helpers.linear import is_linear

MESSAGE = (
    b"Content-Type: multipart/mixed; boundary=b\n\n--b\n\ntext\n--b\nContent-Type: a/b; name=x.bin\nContent-Transfer-Encoding: base64\n\n"
    b"AAEC\n--b\nContent-Type: message/rfc822\n\nSubject: y\n\ninner\n--b--\n"
)
Reader = Callable[[bytes, Look], Iterator[LeafFound]]
READERS = pytest.mark.parametrize("read", [by_email, by_rust])


@READERS
def test_what_they_find(read: Reader) -> None:
    """The leaves with their names, also those of a message in the message."""
    found = list(read(MESSAGE, no_clock))

    assert [LeafFound((), "text/plain", b"text"), LeafFound(("x.bin",), "a/b", b"\0\1\2")] == [
        each._replace(data=each.data.strip()) for each in found[:2]
    ]
    assert found[-1].data.strip() == b"inner"


@READERS
@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\n",
        b"\xff\0" * 100,
        b"Content-Type: multipart/mixed\n\n--b\n",
        b"Content-Type: text/plain; charset=x; name*=x'y\n\nx",
        b"Content-Transfer-Encoding: base64\n\n*",
        b"Content-Type: a/b; name*0*=''%; name*x=1\nContent-Transfer-Encoding: x-uue\n\nbegin 644",
    ],
)
def test_faults_are_no_errors(read: Reader, message: bytes) -> None:
    """What cannot be decoded is left out."""
    list(read(message, no_clock))


@READERS
def test_what_is_too_deep_or_too_much_is_said(read: Reader) -> None:
    """So that the message is flagged."""
    deep = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(3000))
    many = b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--b\n\nx\n" * 3000
    for message in (deep, many):
        with pytest.raises(TooMuch):
            list(read(message, no_clock))


def test_a_long_field_ends_the_email_package() -> None:
    """It needs quadratic time for one."""
    with pytest.raises(TooMuch):
        list(by_email(b"Content-Type: a/b; x=" + b'";' * 20_000 + b"\n\nx", no_clock))


@READERS
@pytest.mark.parametrize(
    "text",
    [
        b"a\n",
        b"\n",
        b"--b\n",
        b"X: y\n",
        b" x\n",
        b"=\n",
        b"=3D",
        b"A=B=\n",
        b"Content-Type: a/b\n",
        b"x=y;",
        b"begin 644 a\n",
        b"(",
        b"=?a?q?b?= ",
    ],
)
def test_their_time_is_linear(read: Reader, text: bytes) -> None:
    """Also within a header, a base64 body, a multipart."""

    def work(size: int) -> None:
        for head in (
            b"",
            b"\n",
            b"Content-Transfer-Encoding: base64\n\n",
            MESSAGE[:60],
            b"Content-Transfer-Encoding: quoted-printable\n\n",
        ):
            try:
                list(read(head + text * (size // len(text)), no_clock))
            except TooMuch:
                return

    assert is_linear(work, 1 << 18)


def test_what_another_reader_alone_finds_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its content and its names, each once, and the message is ambiguous then."""
    message = b"Content-Type: text/plain (x)\n\ntext\n"
    assert {part.flag for part in parts(message)} == {""}

    class Other(email.message.Message):
        def get_filename(self, failobj: object = None) -> str:
            return "evil.exe"

    monkeypatch.setattr("filterlink.filters.content.mail.readers._Message.get_filename", Other.get_filename)
    found = list(parts(message))

    assert [(part.names, part.data) for part in found if part.names] == [(("evil.exe",), b"")]
    assert (found[-1].place, found[-1].flag) == ("the message", "ambiguous")


@pytest.mark.parametrize("name", ['"=?utf-8?B?w7wvw7Yucg==?="', '"ü.pdf"', "=?koi8-r?B?6ezp?=.pdf", '"a\'b.pdf"', "utf-8''%c3%bc.pdf"])
def test_names_that_all_read_alike_make_no_message_ambiguous(name: str) -> None:
    """The email package gives encoded words as they are, and the other one decodes them."""
    for key in ("name", "name*") if "''" in name else ("name",):
        message = f"Content-Type: a/b (x); {key}={name}\nContent-Disposition: attachment; file{key}={name}\n\nx".encode()
        assert {part.flag for part in parts(message)} == {""}


def test_a_message_of_a_million_lines_is_not_read_by_all() -> None:
    """So it is ambiguous; each line would take a hundred bytes of memory."""
    message = b"Content-Type: text/plain (x)\n\n" + b"a\n" * 1_000_001

    assert [part.flag for part in parts(message)] == ["", "ambiguous"]
    assert [part.flag for part in parts(message[:-10])] == [""]


def test_blanks_at_line_ends_make_no_message_ambiguous() -> None:
    """Some readers of quoted-printable remove them, as RFC 2045 says."""
    message = b"Content-Type: text/plain (x)\nContent-Transfer-Encoding: quoted-printable\n\na=3Db  \nc\t\r\nd\n"

    assert {part.flag for part in parts(message)} == {""}


def test_the_library_has_the_limits_that_are_documented() -> None:
    """So we ask it for no larger message."""
    with pytest.raises(fast_mail_parser.MimeStructureError):
        fast_mail_parser.parse_email_tree(b"x\n\n" + bytes(101 << 20))
