import base64
import gzip
import io
import struct
import tarfile
import time
import zipfile
import zlib

import pytest

from filterlink.filters.content import archive
from filterlink.filters.content.archive import Member, is_archive, is_zip, members
from filterlink.filters.content.archives import unpack
from filterlink.filters.content.limits import member


def packed(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", method) as file:
        for name, data in files.items():
            file.writestr(name, data)
    return target.getvalue()


def test_members_are_unpacked() -> None:
    """Names and data, stored or deflated, also with something in front."""
    files = {"a/b.txt": b"text" * 100, "c": b""}
    expected = [Member("a/b.txt", b"text" * 100), Member("c", b"")]

    assert expected == list(members(packed(files)))
    assert expected == list(members(packed(files, zipfile.ZIP_STORED)))
    assert expected == list(members(b"in front" + packed(files)))


def test_a_zip_is_known_by_its_content() -> None:
    """By its start or by its end record."""
    assert is_zip(packed({"a": b"x"}))
    assert is_zip(b"in front" + packed({"a": b"x"}))
    assert not is_zip(b"PK and other text")


PPMD = (
    "UEsDBD8AAABiAAAAIQAm8c7fCQAAAGMAAAAFAAAAYS5leGUHAHf9pzkJMwBQSwECPwM/AAAAYgAAACEAJvHO3wkAAABjAAAABQAA"
    "AAAAAAAAACCApIEAAAAAYS5leGVQSwUGAAAAAAEAAQAzAAAALAAAAAAA"
)
"""A zip whose one member PPMd packed."""
EMPTY = struct.pack("<I", 0)


def lying(data: bytes, central: dict[int, bytes], local: dict[int, bytes]) -> bytes:
    """The zip of one member with other bytes at these places of its central and of its local header."""
    changed = bytearray(data)
    for start, places in ((changed.index(b"PK\1\2"), central), (0, local)):
        for at, new in places.items():
            changed[start + at : start + at + len(new)] = new
    return bytes(changed)


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED])
@pytest.mark.parametrize(
    ("central", "local"),
    [
        ({24: EMPTY}, {}),
        ({20: EMPTY, 24: EMPTY}, {}),
        ({20: EMPTY, 24: EMPTY}, {18: EMPTY, 22: EMPTY}),
        ({24: b"\1"}, {}),
        ({20: b"\1"}, {}),
        ({8: b"\1"}, {}),  # said to be encrypted, in one place
        ({}, {6: b"\1"}),
        ({10: b"\x63"}, {}),  # packed in an unknown way, in one place
        ({}, {8: b"\x63"}),
        ({42: b"\7"}, {}),  # at another place
        ({0: b"XX"}, {}),  # no directory
        ({}, {14: b"abcd"}),
    ],
)
def test_no_directory_is_trusted(method: int, central: dict[int, bytes], local: dict[int, bytes]) -> None:
    """What is packed counts, whatever its sizes, place and way of packing are said to be."""
    data = lying(packed({"a.exe": b"hidden" * 20}, method), central, local)

    assert b"hidden" * 20 in [one.data for one in members(data)]


def test_a_member_without_an_entry_in_the_directory() -> None:
    """Unpackers that read from the start find it; also its name, where the directory has another."""
    first = packed({"a.exe": b"hidden" * 9})
    second = packed({"b": b"x"})
    assert b"hidden" * 9 in [one.data for one in members(first[: first.index(b"PK\1\2")] + second)]

    data = packed({"a.txt": b"x"})
    names = [one.name for one in members(data.replace(b"a.txt", b"a.exe", 1))]
    assert {"a.txt", "a.exe"} == set(names)


def test_a_member_with_two_entries_in_the_directory() -> None:
    """The larger size counts, and both names do."""
    data = packed({"a": b"hello", "b": b"hello"}, zipfile.ZIP_STORED)
    second = data.rindex(b"PK\1\2")
    data = data[: second + 20] + struct.pack("<II", 9, 9) + data[second + 28 : second + 42] + EMPTY + data[second + 46 :]
    found = list(members(data))

    assert {"a", "b"} <= {one.name for one in found}
    assert b"helloPK\3\4" in [one.data for one in found]


def test_members_that_overlap_are_a_bomb() -> None:
    """A thousand headers before the same packed bytes have them unpacked a few times, not a thousand."""
    block = zlib.compressobj(9, zlib.DEFLATED, -15)
    body = b"\0\0\0\xff\xff" * 200_000 + block.compress(b"x") + block.flush()  # empty blocks: they unpack to nothing
    count = 1000
    heads = [struct.pack("<4s5H3I2H", b"PK\3\4", 20, 0, 8, 0, 0, 0, 0, 0, 0, (count - n - 1) * 30) for n in range(count)]
    entries = [struct.pack("<4s6H3I5H2I", b"PK\1\2", 20, 20, 0, 8, 0, 0, 0, 9, 9, 0, 0, 0, 0, 0, 0, n * 30) for n in range(count)]
    data = b"".join((*heads, body))
    data += b"".join(entries) + struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, count, count, len(entries[0]) * count, len(data), 0)
    began = time.process_time()

    assert "bomb" in [one.flag for one in members(data)]
    assert time.process_time() - began < 1.0


def test_encrypted_members_give_their_name() -> None:
    """And nothing is tried."""
    data = bytearray(packed({"a.exe": b"x"}))
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1

    assert [Member("a.exe", b"", "encrypted")] == list(members(bytes(data)))


def test_a_wrong_checksum_keeps_no_data_from_us() -> None:
    """Many unpackers only warn."""
    data = packed({"a.txt": b"hello"}, zipfile.ZIP_STORED).replace(b"hello", b"jello")

    assert [Member("a.txt", b"jello")] == list(members(data))


def test_unusual_packings_give_their_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """bzip2 and lzma are unpacked by Python, others by libarchive; without it there is the name."""
    ppmd = base64.b64decode(PPMD)
    assert [Member("a.exe", b"x" * 99)] == list(members(ppmd))
    monkeypatch.setattr(unpack, "_ffi", lambda: None)
    assert [Member("a.exe", b"", "unopened")] == list(members(ppmd))
    assert [Member("a.exe", b"x")] == list(members(packed({"a.exe": b"x"}, zipfile.ZIP_LZMA)))
    assert [Member("a.exe", b"x")] == list(members(packed({"a.exe": b"x"}, zipfile.ZIP_BZIP2)))


def test_a_bomb_is_flagged() -> None:
    """What unpacks to far more than it is, and much at all."""
    found = list(members(packed({"a": bytes(20 << 20), "b": b"x"})))

    assert [(one.name, one.flag) for one in found] == [("a", "bomb")]


def test_harmless_zeros_are_no_bomb() -> None:
    """A small file may be packed as well as it can be."""
    assert [one.flag for one in members(packed({"a": bytes(1 << 20)}))] == [""]


def test_limits_end_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Too many members, or too much unpacked."""
    monkeypatch.setattr(member, "MAX_MEMBERS", 3)
    assert [Member("", b"", "limit")] == list(members(packed({str(n): b"" for n in range(4)})))
    monkeypatch.setattr(member, "MAX_UNPACKED", 1000)
    found = list(members(packed({"a": b"x" * 900, "b": b"y" * 900, "c": b""})))
    assert [(one.name, one.flag) for one in found] == [("a", ""), ("b", "limit")]


def test_damaged_archives_never_raise() -> None:
    """Every single byte changed, and every length cut: there is always some answer."""
    whole = packed({"a.txt": b"hello" * 9, "b.txt": b"x"})
    for at in range(len(whole)):
        list(members(whole[:at]))
        for value in (0, 255, whole[at] ^ 1):
            list(members(whole[:at] + bytes([value]) + whole[at + 1 :]))


def tarred(files: dict[str, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=form) as file:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))
    return target.getvalue()


def test_archives_in_archives_are_opened() -> None:
    """Each is a member as well, and the names show the way."""
    inner = packed({"eicar.com": b"x"})
    outer = gzip.compress(tarred({"d/in.zip": inner}), mtime=0)
    found = list(members(outer, "all.tar.gz"))

    assert [one.name for one in found][:3] == ["all.tar", "all.tar/d/in.zip", "all.tar/d/in.zip/eicar.com"]
    assert (found[1].data, found[2].data) == (inner, b"x")


def test_a_file_that_is_two_archives_is_opened_as_both() -> None:
    """A zip is read from its end, all others from their start."""
    data = gzip.compress(b"one", mtime=0) + packed({"two": b"2"})

    assert [(one.name, one.data) for one in members(data, "a.gz")] == [("a", b"one"), ("two", b"2")]


def test_nesting_has_a_limit() -> None:
    """What is deeper is said, not skipped."""
    data = b"x"
    for _ in range(archive.MAX_NESTING):
        data = packed({"a": data}, zipfile.ZIP_STORED)
    assert {one.flag for one in members(data)} == {""}
    found = list(members(packed({"a": data})))

    assert (found[-1].name, found[-1].flag) == ("a/" * archive.MAX_NESTING, "limit")


def test_limits_count_over_all_levels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten archives of 9 files are as much as one of 90, and a bomb in a bomb is one."""
    inner = packed({str(n): b"y" for n in range(9)})
    outer = packed({str(n): inner for n in range(10)})
    monkeypatch.setattr(member, "MAX_MEMBERS", 50)
    found = list(members(outer))

    assert (len(found) <= 51, found[-1].flag) == (True, "limit")
    monkeypatch.setattr(member, "MAX_MEMBERS", 1000)
    layer = packed({str(n): packed({"z": bytes(3 << 20)}) for n in range(10)})
    assert list(members(layer))[-1].flag == "bomb"


def test_a_quine_ends() -> None:
    """Whatever unpacks to more archives for ever stops at the nesting or at the bytes."""
    data = gzip.compress(b"x")
    for _ in range(40):
        data = gzip.compress(data)

    assert list(members(data, "a.gz"))[-1].flag == "limit"


def test_text_is_no_archive() -> None:
    """Nor is what only begins a little like one."""
    assert [is_archive(data) for data in (b"", b"hello", b"BZ", b"\0" * 600, b"Rar", b"\x1f\x8b")] == [False] * 6
