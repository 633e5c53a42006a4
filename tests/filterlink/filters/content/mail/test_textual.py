import base64
import binascii
import time

import pytest

from filterlink.filters.content.mail.textual import decodings, find

DATA = bytes(range(256)) * 2


def uu(data: bytes) -> bytes:
    return b"".join(binascii.b2a_uu(data[at : at + 45]) for at in range(0, len(data), 45)) + b"`\n"


def yenc(data: bytes) -> bytes:
    out = bytearray()
    for byte in data:
        shifted = (byte + 42) & 255
        out += bytes([61, (shifted + 64) & 255]) if shifted in b"\0\n\r=" else bytes([shifted])
    return b"\r\n".join(bytes(out[at : at + 128]) for at in range(0, len(out), 128))


UU = b"begin 644 a.exe\n" + uu(DATA) + b"end\n"
LINK = b"<a href='data:a/b;base64," + base64.b64encode(DATA) + b"'>"
TEXTS = {
    "uuencode": (UU, ["a.exe"]),
    "two of them": (b"text\n" + UU + b"text\n" + UU.replace(b"a.exe", b"b c.exe"), ["a.exe", "b c.exe"]),
    "CRLF, blanks": (b"  " + UU.replace(b"\n", b"\r\n"), ["a.exe"]),
    "any mode, capitals, a name in quotes": (UU.replace(b"begin 644 a.exe", b'Begin 9 "a.exe"').replace(b"end", b"END"), ["a.exe"]),
    "no end": (UU.removesuffix(b"end\n"), ["a.exe"]),
    "as base64": (b"x\nbegin-base64 644 a.exe\n" + base64.encodebytes(DATA) + b"====\n", ["a.exe"]),
    "yEnc": (b"x\r\n=ybegin line=128 size=512 name=a b.exe\r\n" + yenc(DATA) + b"\r\n=yend size=512\r\n", ["a b.exe"]),
    "yEnc in parts": (
        b"=ybegin part=1 line=128 size=512 name=a.exe\r\n=ypart begin=1 end=512\r\n" + yenc(DATA) + b"\r\n=yend \r\n",
        ["a.exe"],
    ),
    "a link": (LINK, [""]),
    "a link, escaped": (LINK.replace(b"+", b"%2B").replace(b"/", b"%2F").replace(b"%2F", b"/", 1), [""]),
}


@pytest.mark.parametrize("form", TEXTS)
def test_files_in_a_text(form: str) -> None:
    """Under the names that they give themselves, each from its first byte on."""
    text, names = TEXTS[form]
    found = list(find(text))

    assert [name for name, _ in found] == names
    assert all(data.startswith(DATA) for _, data in found)


def test_one_that_begins_in_another() -> None:
    """Decoders differ in what ends the first: both are read, and the second from its own beginning."""
    text = b"begin 644 first\n" + UU

    found = dict(find(text))
    assert found["a.exe"] == DATA
    assert list(found) == ["first", "a.exe"]


@pytest.mark.parametrize("junk", [b"x\n", b"\t\n", b"hello world\n"])
def test_a_line_that_is_no_data(junk: bytes) -> None:
    """Some leave it out; where the header names the encoding, it may be the first."""
    text = b"begin 644 a.exe\n" + uu(DATA[:45]).removesuffix(b"`\n") + junk + uu(DATA[45:])

    assert DATA in [data for name, data in find(text) if name == "a.exe"]
    assert DATA in decodings(text, "uuencode")
    assert DATA in decodings(UU.replace(b"\n", b"\n" + junk, 1), "uuencode")


def test_a_line_that_is_short() -> None:
    """Some fill it up, some take what it holds; where both are the same there is one reading."""
    text = b"begin 644 a.exe\nM)4!!\n" + uu(DATA)

    assert [data[:45] for _, data in find(text)] == [b"%@A" + bytes(42), b"%@A" + DATA[:42], DATA[:45]]
    assert DATA[:90] in [data[:90] for _, data in find(UU[:60] + b"\nM" + UU[60:])]
    assert b"ab" + DATA in decodings(b'begin 644 a\n"86( ' + uu(DATA), "uuencode")
    assert decodings(b"begin 644 a\n!00\nend\n", "uuencode") == [b"A"]


def test_a_begin_without_a_mode() -> None:
    """Some programs take it where the header names the encoding."""
    assert decodings(b"x\nbegin \n" + uu(DATA), "uuencode") == [DATA]
    assert decodings(b"to begin with\nsay hello\n", "uuencode")[0] == b"to begin with\nsay hello\n"
    assert decodings(b"aGk=", "base64") == [b"hi"]


def test_prose_holds_none() -> None:
    text = b"we begin 644 things\nand end\nbegin at 9\nbegin 2026 at example.com\nsee you\n=ybegins\ndata:;base64 is a word\n"
    assert list(find(text)) == []


@pytest.mark.parametrize(
    "piece",
    [b"begin 644 x\n", b"begin ", b"begin 644 ", b"=ybegin ", b"data:;base64,", b";base64,A", b"  " * 10, b"begin-base64 1\n", b"= "],
)
def test_it_takes_linear_time(piece: bytes) -> None:
    """Two megabytes of what may be a beginning."""
    began = time.process_time()
    for _ in find(piece * (2_000_000 // len(piece)) + b"begin;base64,"):
        pass

    assert time.process_time() - began < 3
