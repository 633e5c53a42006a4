"""What a tar holds, of which GNU tar, bsdtar or 7-Zip open all."""

import time

import pytest

from filterlink.filters.content.archive import is_archive, members
from filterlink.filters.content.archives import unpack
from filterlink.filters.content.archives.tars import is_tar, starts
from filterlink.filters.content.archives.tars import members as own
from filterlink.filters.content.limits.member import Budget
from tests.helpers.archives import tarred

HARM = b"HARM and some more of it " * 40
NAME = b"invoice.exe"
GOOD = tarred(b"good.txt", b"harmless")
END = bytes(1024)
ONE = tarred(NAME, HARM)


def pax(*records: tuple[bytes, bytes], kind: bytes = b"x") -> bytes:
    return tarred(b"p", b"".join(b"%d %b=%b\n" % (len(key + value) + 5, key, value) for key, value in records), kind)


def _numbered(data: bytes, at: int, field: bytes) -> bytes:
    """With another field, and the checksum of that."""
    head = bytearray(data[:512])
    head[at : at + len(field)] = field
    if at != 148:
        head[148:156] = b" " * 8
        head[148:156] = b"%06o\0 " % sum(head)
    return bytes(head) + data[512:]


HIDDEN = {
    "nothing odd": ONE + END,
    "without the magic": tarred(NAME, HARM, b"\0", b"") + END,
    "a signed checksum": tarred("ä".encode() + NAME, HARM, signed=True) + END,
    "a long name of GNU": tarred(b"././@LongLink", NAME + b"\0", b"L", b"ustar  \0") + tarred(b"a.txt", HARM, magic=b"ustar  \0") + END,
    "a path of pax": pax((b"path", NAME)) + tarred(b"a.txt", HARM) + END,
    "the first of two paths": pax((b"path", NAME), (b"path", b"b.txt")) + tarred(b"a.txt", HARM) + END,
    "a path for all": pax((b"path", NAME), kind=b"g") + tarred(b"a.txt", HARM) + END,
    "behind a wrong checksum": tarred(b"good.txt", b"x", wrong=5) + ONE + END,
    "behind another": GOOD + tarred(b"good.txt", b"x", wrong=5) + ONE + END,
    "behind empty blocks": bytes(2048) + ONE + END,
    "behind the end": GOOD + END + ONE,
    "far behind the end": GOOD + bytes(10_240) + ONE,
    "behind one empty block": GOOD + bytes(512) + ONE,
    "behind a block of rubbish": b"r" * 512 + ONE + END,
    "behind rubbish of any length": b"r" * 99 + ONE + END,
    "without the magic, behind a wrong checksum": tarred(b"a", b"x", b"\0", b"", wrong=5) + tarred(NAME, HARM, b"\0", b"") + END,
    "behind rubbish in the middle": GOOD + b"r" * 512 + ONE + END,
    "before rubbish": ONE + END + b"rubbish" * 999,
    "as a folder with data": tarred(NAME, HARM, b"5") + END,
    "of a kind that is not there": tarred(NAME, HARM, b"Z") + END,
    "cut": ONE[:-30],
    "a size that is none": _numbered(ONE, 124, b"99999999999"),
    "a checksum with letters behind": _numbered(ONE, 148, ONE[148:154] + b"xx"),
}


@pytest.mark.parametrize("library", [True, False])
@pytest.mark.parametrize("kind", HIDDEN)
def test_what_some_unpacker_opens_is_found(kind: str, library: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under the name that it has there, with libarchive and without."""
    if not library:
        monkeypatch.setattr(unpack, "_ffi", lambda: None)
    found = list(members(HIDDEN[kind]))

    assert is_archive(HIDDEN[kind])
    assert any(one.data.startswith(HARM[:900]) for one in found)
    assert any(NAME.decode() in one.name for one in found)


def test_where_readers_differ() -> None:
    """What only some find is flagged, and each file is there once."""
    assert [(one.name, one.flag) for one in members(HIDDEN["behind the end"])] == [("good.txt", ""), ("invoice.exe", "ambiguous")]
    assert [(one.name, one.flag) for one in members(HIDDEN["nothing odd"])] == [("invoice.exe", "")]


def test_a_lie_about_the_size() -> None:
    """More than there is: what there is, and it is broken."""
    assert [(one.data, one.flag) for one in own(ONE[:600], Budget(99))] == [(HARM[:88], "broken")]


def test_what_is_no_tar() -> None:
    """A text that has the word in it, and nothing at all; many such words take no time."""
    assert [is_tar(data) for data in (b"", b"ustar" * 999, bytes(9999), b"x" * 257 + b"ustar\0" + b"x" * 999)] == [False] * 4
    assert (starts(ONE), starts(b"r" * 512 + ONE)) == (True, False)
    began = time.process_time()
    assert [one.flag for one in members(b"x" + b"ustar7 \0" * 500_000)] == ["limit"]
    assert time.process_time() - began < 1
