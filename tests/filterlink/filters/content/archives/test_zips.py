"""What a zip holds that is read in different ways: each archive here is opened by 7-Zip, unzip, bsdtar or unar, and its payload found."""

import io
import struct
import zipfile
from collections.abc import Callable

import pytest
from inflate64 import Deflater

from filterlink.filters.content.archive import Member, is_archive, members
from filterlink.filters.content.archives import unpack
from filterlink.filters.content.archives.zips import NotPlain, plain
from filterlink.filters.content.limits.member import Budget
from tests.helpers.archives import central, descriptor, end, extra, local, unicode_path, zipped

HARM = b"HARM and some more of it " * 20
NAME = b"invoice.exe"
GOOD = b"harmless " * 20
Entry = Callable[[int], bytes]


def entry(name: bytes = NAME, data: bytes = HARM, method: int = 8, flags: int = 0, **said: int) -> Entry:
    return lambda at: central(name, data, at, method, flags, b"", **said)


ONE = zipped((local(NAME, HARM), entry()))
OTHER = zipped((local(b"good.txt", GOOD), entry(b"good.txt", GOOD)))
SIZES = extra(1, struct.pack("<QQ", len(HARM), len(HARM)))
SPAN = 0xFFFFFFFF
RAW = local(NAME, HARM)
BLOCK = b"\1" + struct.pack("<HH", len(RAW), len(RAW) ^ 0xFFFF) + RAW  # a deflate stream that has it as it is


def zip64() -> bytes:
    head = local(NAME, HARM)
    listed = central(NAME, HARM, 0)
    record = struct.pack("<4sQ2H2I4Q", b"PK\6\6", 44, 45, 45, 0, 0, 1, 1, len(listed), len(head))
    return head + listed + record + struct.pack("<4sIQI", b"PK\6\7", 0, len(head + listed), 1) + end(0xFFFF, SPAN, SPAN)


HIDDEN = {
    "nothing odd": ONE,
    "the header has the name": zipped((local(NAME, HARM), entry(b"a.txt"))),
    "the directory has the name": zipped((local(b"a.txt", HARM), entry())),
    "the second of two zips": OTHER + ONE,
    "the first of two zips": ONE + OTHER,
    "an end record in the comment": zipped((local(NAME, HARM), entry()), comment=b"x" * 30 + end(0, 0, 0) + b"yyy"),
    "an end record in the comment that names another": zipped(
        (local(NAME, HARM), entry()), comment=end(1, len(central(b"good.txt", GOOD, 0)), 0)
    ),
    "70 KB behind the end": ONE + bytes(70_000),
    "rubbish before and behind": b"rubbish " * 100 + ONE + b"rubbish " * 20_000,
    "no directory": RAW,
    "no directory, sizes behind": local(NAME, HARM, 0, 8, crc=0, packed=0, size=0) + descriptor(HARM, 0),
    "no directory, a wrong size, sizes behind": local(NAME, HARM, 0, 8, crc=0, packed=0, size=1) + descriptor(HARM, 0),
    "in a member whose header is damaged": b"QK" + zipped((local(b"a", RAW, 0), entry(b"a", RAW, 0)))[2:],
    "said to be encrypted, in the header, and moved": RAW.replace(b"\x14\0\0", b"\x14\0\1", 1)
    + central(NAME, HARM, 0)
    + b"x"
    + end(1, 57, len(RAW)),
    "a cut directory": ONE[:-40],
    "a cut end record": ONE[:-3],
    "a directory whose entries are none": ONE.replace(b"PK\1\2", b"PK\1\3"),
    "behind a script": b"#!/bin/sh\nexit\n" * 50 + ONE,
    "behind a program, places right": b"MZ" * 300 + zipped((local(NAME, HARM), entry()), begin=600),
    "behind 5 MB": b"q" * 5_000_000 + ONE,
    "a size too small": zipped((local(NAME, HARM, size=3), entry(size=3))),
    "packed size too small, in the directory": zipped((local(NAME, HARM), entry(packed=3))),
    "packed size too small, in the header": zipped((local(NAME, HARM, packed=3), entry())),
    "said to be stored, in the directory": zipped(
        (local(NAME, HARM), lambda at: central(NAME, HARM, at).replace(b"\x08\0\0\0\x21", b"\0\0\0\0\x21"))
    ),
    "said to be encrypted, in the directory": zipped((local(NAME, HARM), entry(flags=1))),
    "said to be encrypted, in the header": zipped((local(NAME, HARM, flags=1), entry())),
    "said to be encrypted strongly": zipped((local(NAME, HARM, flags=0x40), entry(flags=0x40))),
    "sizes of zip64": zipped((local(NAME, HARM, 0, 0, SIZES, packed=SPAN, size=SPAN), entry(method=0))),
    "zip64": zip64(),
    "a folder with data": zipped((local(NAME + b"/", HARM), entry(NAME + b"/"))),
    "a folder in the directory": zipped((local(NAME, HARM), entry(b"d/"))),
    "a zero byte behind the name": zipped((local(NAME + b"\0.txt", HARM), entry(NAME + b"\0.txt"))),
    "a zero byte before the name": zipped((local(b"a.txt\0" + NAME, HARM), entry(b"a.txt\0" + NAME))),
    "a name of Windows": zipped((local(b"d\\" + NAME, HARM), entry(b"d\\" + NAME))),
    "a path that leads away": zipped((local(b"/../" + NAME, HARM), entry(b"/../" + NAME))),
    "a Unicode path in the header": zipped((local(b"a.txt", HARM, field=unicode_path(NAME, b"a.txt")), entry(b"a.txt"))),
    "a Unicode path for another name": zipped((local(b"a.txt", HARM, field=unicode_path(NAME, b"b.txt")), entry(b"a.txt"))),
    "a Unicode path in the directory": zipped(
        (local(b"a.txt", HARM), lambda at: central(b"a.txt", HARM, at, field=unicode_path(NAME, b"a.txt")))
    ),
    "the mark of a spanned archive": b"PK\7\x08" + ONE,
    "the mark of one part": b"PK00" + ONE,
    "a count of none": RAW + central(NAME, HARM, 0) + end(0, len(central(NAME, HARM, 0)), len(RAW)),
    "a directory said to be at the start": RAW + central(NAME, HARM, 0) + end(1, len(central(NAME, HARM, 0)), 0),
    "a directory of no size": RAW + central(NAME, HARM, 0) + end(1, 0, len(RAW)),
    "members out of order": zipped((b"1234567" + RAW, entry())),
    "between two members": zipped((local(b"a", GOOD, 0), entry(b"a", GOOD, method=0)), (RAW, None), (local(b"b", GOOD), entry(b"b", GOOD))),
    "in a block of what is also a member": zipped(
        (
            struct.pack("<4s5H3I2H", b"PK\3\4", 20, 0, 0, 0, 0, 0, 5, 5, 1, 0) + b"a" + BLOCK,
            lambda at: central(b"a", RAW, at, packed=len(BLOCK)),
        )
    ),
    "two entries of one member": RAW + central(b"a.txt", HARM, 0) + central(NAME, HARM, 0) + end(2, 108, len(RAW)),
}


@pytest.mark.parametrize("kind", HIDDEN)
def test_what_some_unpacker_opens_is_found(kind: str) -> None:
    """Under the name that it has there."""
    data = HIDDEN[kind]
    found = list(members(data))

    assert is_archive(data)
    assert any(HARM in one.data for one in found)
    assert any(one.name.endswith((NAME.decode(), ".txt")) and NAME.decode() in one.name for one in found)


@pytest.mark.parametrize("kind", HIDDEN)
def test_no_reader_alone_is_needed(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is found with libarchive is found without it."""
    monkeypatch.setattr(unpack, "_ffi", lambda: None)
    found = list(members(HIDDEN[kind]))

    assert any(HARM in one.data for one in found)
    assert any(NAME.decode() in one.name for one in found)


def test_a_message_has_its_data_under_the_name_of_one() -> None:
    """Which of its two names it has in which place is all the same."""
    for here, there in ((b"a.eml", b"a.txt"), (b"a.txt", b"a.eml")):
        found = [one for one in members(zipped((local(here, HARM), entry(there)))) if one.data]
        assert [(one.name, one.data) for one in found] == [("a.eml", HARM)]


def test_where_readers_differ() -> None:
    """The member is flagged, and so is what only some find; each file is there once."""
    for kind in ("the header has the name", "a size too small", "said to be encrypted, in the header", "between two members"):
        found = list(members(HIDDEN[kind])) if kind != "a size too small" else list(members(zipped((local(NAME, HARM, size=3), entry()))))
        assert [one.flag for one in found if one.data == HARM] == ["ambiguous"], kind


def written(method: int, stream: bool) -> bytes:
    """As Python does, with another in it; `stream`: without going back."""

    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return not stream

        def tell(self) -> int:
            if stream:
                raise OSError
            return super().tell()

    target = Pipe()
    with zipfile.ZipFile(target, "w", method) as file:
        file.writestr("word/document.xml", b"<xml/>" * 999)
        file.writestr("d/", b"")
        file.writestr("Ümlaut.txt", b"x")
        with file.open("big", "w", force_zip64=True) as member:
            member.write(b"q" * 999)
        file.writestr("in.zip", OTHER)
    return target.getvalue()


CLEAN = {
    **{f"{method}, {stream}": written(method, stream) for method in (0, 8, 12, 14) for stream in (False, True)},
    "strict": OTHER,
    "of Apple": zipped(
        *(
            (local(name, GOOD, 8, 8, crc=0, packed=0, size=0) + descriptor(GOOD), entry(name, GOOD, flags=8))
            for name in (b"a.txt", b"__MACOSX/._a.txt")
        )
    ),
    "an old name": zipped(
        (local(b"\x81.txt", GOOD, field=unicode_path("ü.txt".encode(), b"\x81.txt")), entry(b"\x81.txt", GOOD)),
    ),
    "behind a program": b"\x7fELF" + bytes(5000) + OTHER,
    "of libraries": zipped((local(b"a", GOOD, field=extra(0xD935, bytes(7))), entry(b"a", GOOD))),
    "empty": end(0, 0, 0),
}


@pytest.mark.parametrize("kind", CLEAN)
def test_clean_zips_have_no_flag(kind: str) -> None:
    """As office programs, Apple, streaming writers and installers write them."""
    assert {one.flag for one in members(CLEAN[kind])} <= {""}


@pytest.mark.parametrize(
    "text", [b"A zip begins with PK\3\4 and ends with PK\5\6 and more. " * 9, b"PK\3\4" * 1000, b"x" + b"PK\3\4\x14\0\0\0\x08\0" * 99]
)
def test_what_only_has_the_signatures_has_no_flag(text: bytes) -> None:
    """A text about zip is none, nor is a program that makes them."""
    assert {one.flag for one in members(b"text " + text)} <= {""}


def test_a_strict_zip_is_read_once() -> None:
    """By no other reader; all else is."""
    assert list(plain(OTHER, Budget(99999))) == [Member("good.txt", GOOD)]
    for kind, data in HIDDEN.items():
        if kind in ("nothing odd", "a folder with data", "a name of Windows", "a path that leads away"):
            continue
        with pytest.raises(NotPlain):
            list(plain(data, Budget(len(data))))


def test_deflate64() -> None:
    """Opened without libarchive, which has none; cut and damaged it gives what is before, and a bomb is one."""
    packer = Deflater()
    packed = packer.deflate(HARM) + packer.flush()

    def made(body: bytes) -> bytes:
        head = struct.pack("<4s5H3I2H", b"PK\3\4", 20, 0, 9, 0, 0, 0, len(body), len(HARM), 5, 0) + b"a.exe" + body
        entries = struct.pack("<4s6H3I5H2I", b"PK\1\2", 20, 20, 0, 9, 0, 0, 0, len(body), len(HARM), 5, 0, 0, 0, 0, 0, 0) + b"a.exe"
        return head + entries + end(1, len(entries), len(head))

    assert list(members(made(packed))) == [Member("a.exe", HARM)]
    stored = b"\0\6\0\xf9\xffhidden"
    assert Member("a.exe", b"hidden", "broken") in list(members(made(stored + b"\7" * 40)))


def test_a_zip_by_its_directory_alone() -> None:
    """Where no header is whole, its names are known."""
    data = b"xx" + ONE[2:]
    assert is_archive(data)
    assert [(one.name, one.flag) for one in members(data) if one.name] == [("invoice.exe", "broken")]


def test_what_nobody_here_unpacks_is_unopened() -> None:
    """Its name is known."""
    data = zipped((local(NAME, HARM, 77), entry(method=77)))
    assert list(members(data)) == [Member("invoice.exe", b"", "unopened")]
