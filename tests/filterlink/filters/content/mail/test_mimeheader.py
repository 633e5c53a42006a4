import pytest

from filterlink.filters.content.mail.filenames import clean_name
from filterlink.filters.content.mail.mimeheader import PartHeader
from filterlink.filters.content.mail.readings import readings


def read(data: bytes) -> tuple[PartHeader, bytes]:
    header, body = readings(data, 0, len(data))[0]
    return header, data[body:]


def test_the_fields_that_matter() -> None:
    """Type, boundary, encoding, folded or not, LF or CRLF, in any case."""
    text = b'Subject: x\nCONTENT-type: Multipart/Mixed;\n\tboundary="a b"\nContent-Transfer-Encoding: BASE64 \n\nbody'
    expected = PartHeader("multipart/mixed", (b"a b",), "base64", ())

    assert (expected, b"body") == read(text)
    assert (expected, b"body") == read(text.replace(b"\n", b"\r\n"))


@pytest.mark.parametrize(
    "parameter",
    [
        b'filename="a b.exe"',
        b"FILENAME*=utf-8'en'a%20b.exe",
        b'filename*0="a b"; filename*1=.exe',
        b"filename*1=.exe; filename*0*=''a%20b",
        b"filename*0*=iso-8859-1''a; filename*1*=%20b; filename*2=.exe",
        b'name="=?utf-8?q?a_b=2Eexe?="',
        b'name="=?utf-8?B?YSBi?= =?utf-8?B?LmV4ZQ==?="',
        b'filename="c:\\\\temp\\\\a b.exe"',
        b'filename="../../a b.exe"',
        b'filename="a b.exe',
    ],
)
def test_file_names_in_every_writing(parameter: bytes) -> None:
    """RFC 2045, 2047, 2231, with sections in any order, with folders, with the quote left open."""
    header, _ = read(b"Content-Disposition: attachment; " + parameter + b"\n\n")

    assert header.names == ("a b.exe",)


@pytest.mark.parametrize(
    "parameter",
    [
        b"filename = a b.exe",
        b"filename=b.exe, x.txt",
        b"filename=b.exe (a comment)",
        b"filename=b.exe words behind",
        b"filename=b.exe=",
        b'filename="b".exe',
        b"filename=(a comment)b.exe",
        b"filename=b(a (nested) comment).exe",
        b"filename='b.exe'",
        b"filename*0=b.exe; filename*2=.txt",
        b"filename*1=b; filename*2=.exe",
        b'filename="=?utf-8?B?Yi5le?= =?utf-8?B?GU=?="',
        b"filename=b%2Eexe",
        b'x="; filename=b.exe; y="',
        b"x filename=b.exe",
        b"filena\rme=b.exe",
        b"filename=b.exe:c",
        b"filename=b.exe[c]",
        b'filename="a\\b.exe"',
    ],
)
@pytest.mark.parametrize(
    "field", [b"Content-Disposition: attachment; ", b"Content-Disposition: ", b"Content-Type: a/b;", b"Content-Name: x;"]
)
def test_file_names_that_programs_read_in_different_ways(field: bytes, parameter: bytes) -> None:
    """Each reading is a name: as a whole, up to a blank or a comma, without comments and quotes, up to a gap."""
    text = field + parameter + b"\n\n"

    assert {"a b.exe", "b.exe"} & {name for header, _ in readings(text, 0, len(text)) for name in header.names}


def test_the_field_content_name_is_a_name() -> None:
    """Some programs write and read it."""
    assert read(b"Content-Name: a.exe\n\n")[0].names == ("a.exe",)


def test_an_address_is_no_name() -> None:
    """Neither is what is in the quoted value of another parameter."""
    header, _ = read(b'Content-Type: text/html; url="http://x.example/?name=a.com"; title="see name=b.com"; name=c.html\n\n')

    assert header.names == ("c.html",)


def test_every_name_that_is_given_counts() -> None:
    """Mail programs differ in which one they show."""
    header, _ = read(b'Content-Type: image/png; name="a.png"\nContent-Disposition: attachment; filename="a.exe"; filename*=\'\'b.exe\n\n')

    assert {"a.png", "a.exe", "b.exe"} == set(header.names)


def test_an_open_quote_is_read_both_ways() -> None:
    """To the end, and to the next semicolon."""
    header, _ = read(b'Content-Disposition: attachment; filename="a.exe; x=y\n\n')

    assert header.names == ("a.exe; x=y", "a.exe")


def test_a_name_with_a_nul_is_read_both_ways() -> None:
    """As if it ended there, and as if the NUL was not there."""
    header, _ = read(b'Content-Disposition: attachment; filename="a.exe\0.txt"\n\n')

    assert {"a.exe.txt", "a.exe"} == set(header.names)


def test_names_in_foreign_and_in_no_charset() -> None:
    """Raw UTF-8 and Latin-1 are read; a charset that nobody knows loses no ASCII."""
    assert read('Content-Type: a/b; name="ä.exe"\n\n'.encode())[0].names == ("ä.exe",)
    assert read('Content-Type: a/b; name="ä.exe"\n\n'.encode("latin-1"))[0].names == ("ä.exe",)
    assert read(b"Content-Type: a/b; name*=x-none''a.exe\n\n")[0].names == ("a.exe",)
    assert read(b"Content-Type: a/b; name*=zip''a.exe\n\n")[0].names == ("a.exe",)


def test_bodies_without_header() -> None:
    """An empty first line ends an empty header; a first line that is no field is body."""
    assert (PartHeader(), b"body") == read(b"\nbody")
    assert (PartHeader(), b"body") == read(b"\r\nbody")
    assert (PartHeader(), b"no field\n\nbody") == read(b"no field\n\nbody")
    assert (PartHeader(), b"") == read(b"")


def test_a_header_may_hold_rubbish() -> None:
    """Lines that are no fields, a mailbox's From line, and no end."""
    assert (PartHeader("a/b"), b"body") == read(b"From ann Mon\nrubbish: 1\nmore rubbish\nContent-Type: a/b\n\nbody")
    assert (PartHeader("a/b"), b"") == read(b"Content-Type: a/b")


def test_of_two_types_the_multipart_counts() -> None:
    """It is the reading that shows more."""
    assert read(b"Content-Type: text/plain\nContent-Type: multipart/mixed; boundary=a\n\n")[0].type == "multipart/mixed"


def test_clean_names() -> None:
    """A name is one component, printable, and of bounded length with the extension kept."""
    assert clean_name("/a/b.exe/") == "b.exe"
    assert clean_name(" a\r\n\tb ") == "ab"
    assert clean_name("x" * 1000 + ".exe") == "x" * 251 + ".exe"
