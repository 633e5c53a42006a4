import io
import zipfile

import pytest

from filterlink.filters import archive
from filterlink.filters.archive import Member, is_zip, members


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


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_unusual_packings_give_their_name(method: int) -> None:
    """Python unpacks these without bound, so we do not."""
    assert [Member("a.exe", b"", "broken")] == list(members(packed({"a.exe": b"x"}, method)))


def test_a_bomb_is_flagged() -> None:
    """What unpacks to far more than it is, and much at all."""
    found = list(members(packed({"a": bytes(20 << 20), "b": b"x"})))

    assert [(member.name, member.flag) for member in found] == [("a", "bomb")]


def test_harmless_zeros_are_no_bomb() -> None:
    """A small file may be packed as well as it can be."""
    assert [member.flag for member in members(packed({"a": bytes(1 << 20)}))] == [""]


def test_limits_end_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Too many members, or too much unpacked."""
    monkeypatch.setattr(archive, "MAX_MEMBERS", 3)
    assert [Member("", b"", "limit")] == list(members(packed({str(n): b"" for n in range(4)})))
    monkeypatch.setattr(archive, "MAX_UNPACKED", 1000)
    found = list(members(packed({"a": b"x" * 900, "b": b"y" * 900, "c": b""})))
    assert [(member.name, member.flag) for member in found] == [("a", ""), ("b", "limit")]


def test_damaged_archives_never_raise() -> None:
    """Every single byte changed, and every length cut: there is always some answer."""
    whole = packed({"a.txt": b"hello" * 9, "b.txt": b"x"})
    for at in range(len(whole)):
        list(members(whole[:at]))
        for value in (0, 255, whole[at] ^ 1):
            list(members(whole[:at] + bytes([value]) + whole[at + 1 :]))
