import pytest

from filterlink.filters.content.archive import members
from tests.helpers.boxes import properties, tnef

RENDERED = (0x9002, bytes(14))
EXAMPLE = bytes.fromhex("2d0000002b0000004c5a4675f1c5c7a703000a007263706731323542320af32068656c090020627705b06c647d0a800fa0")
"""Of MS-OXRTFCP."""


def found(data: bytes) -> list[tuple[str, bytes, str]]:
    return [(one.name, one.data, one.flag) for one in members(data, "winmail.dat")]


@pytest.mark.parametrize("checksum", [True, False])
def test_each_name_and_each_content(checksum: bool) -> None:
    """By the old attributes and by MAPI's; a wrong checksum counts for nothing."""
    mapi = properties(
        (0x1E, 0x3704, b"SHORT.TXT\0"),
        (0x1F, 0x3707, "long é.exe\0".encode("utf-16-le")),
        (0x1E, 0x3001, b"shown\xe9\0"),
        (0x102, 0x3701, b"from MAPI"),
        (0x03, 0x3705, b"\1\0\0\0"),
    )
    data = tnef(RENDERED, (0x8010, b"title.txt\0"), (0x800F, b"content"), (0x9005, mapi), RENDERED, (0x800F, b"next"), checksum=checksum)

    assert found(data) == [
        ("title.txt", b"content", ""),
        ("title.txt", b"from MAPI", ""),
        ("SHORT.TXT", b"", ""),
        ("long é.exe", b"", ""),
        ("shown\xe9", b"", ""),
        ("attachment", b"next", ""),
    ]


def test_a_message_in_it() -> None:
    """It is one of these files itself, behind the mark of its kind."""
    inner = tnef(RENDERED, (0x8010, b"a.exe\0"), (0x800F, b"deep"))
    data = tnef(RENDERED, (0x9005, properties((0x0D, 0x3701, bytes(16) + inner))))

    assert found(data)[1] == ("attachment/a.exe", b"deep", "")


def test_the_texts() -> None:
    """The plain one, HTML, and RTF, which is packed (the example of MS-OXRTFCP)."""
    mapi = properties((0x102, 0x1013, b"<html>"), (0x1E, 0x1000, b"text"), (0x102, 0x1009, EXAMPLE))

    assert found(tnef((0x800C, b"body"), (0x9003, mapi))) == [
        ("body.txt", b"body", ""),
        ("body.html", b"<html>", ""),
        ("body.txt", b"text", ""),
        ("body.rtf", b"{\\rtf1\\ansi\\ansicpg1252\\pard hello world}\r\n", ""),
    ]


def test_a_cut_file_gives_what_is_there() -> None:
    data = tnef(RENDERED, (0x8010, b"a.exe\0"), (0x800F, b"content"))

    assert found(data[:-6]) == [("a.exe", b"con", ""), ("", b"", "broken")]


def test_named_properties_are_passed() -> None:
    """Their names stand before their values."""
    named = properties((0x1E, 0x3707, b"a.exe\0"))
    word = b"\3\0\2\x80" + bytes(16) + b"\1\0\0\0" + b"\6\0\0\0" + b"a\0b\0\0\0\0\0" + b"\5\0\0\0"
    data = tnef(RENDERED, (0x9005, b"\2\0\0\0" + word + named[4:]))

    assert [name for name, _, _ in found(data)] == ["a.exe"]
