import struct

from filterlink.filters.content.archive import members
from tests.helpers.boxes import msg, ole, package


def found(data: bytes) -> list[tuple[str, bytes, str]]:
    return [(one.name, one.data, one.flag) for one in members(data, "a.doc")]


def test_each_stream() -> None:
    """Small and large, in any storage; one that no storage names, too."""
    large = bytes(range(256)) * 20
    small = b"small"
    data = ole({("a",): small, ("b", "c", "d"): large, ("b", "e/\1"): b"x" * 65})
    named = found(data)
    hidden = found(data[:1024] + data[1024:].replace(struct.pack("<II", 0xFFFFFFFF, 1), struct.pack("<II", 0xFFFFFFFF, 0xFFFFFFFF), 1))

    assert named == [("a", small, ""), ("d", large, ""), ("e__", b"x" * 65, "")]
    assert named == hidden


def test_a_package() -> None:
    """The file in it, under each name; one that is damaged is looked at whole."""
    assert found(ole({("\1Ole10Native",): package("a.exe", b"content")})) == [("a.exe", b"content", "")]
    assert found(ole({("\1Ole10Native",): b"\4\0\0\0abcd"})) == [("object", b"abcd", "")]


def test_a_message_in_a_message() -> None:
    """Outlook keeps one that is attached in a storage of its own; its attachments stand there."""
    inner = ("__attach_version1.0_#00000000", "__substg1.0_3701000D", "__attach_version1.0_#00000000")
    data = ole({(*inner, "__substg1.0_37010102"): b"deep", (*inner, "__substg1.0_3704001E"): b"a.exe"})

    assert found(data) == [("a.exe", b"deep", "")]


def test_an_attachment_without_a_name_and_one_with_two() -> None:
    folders = "__attach_version1.0_#00000000", "__attach_version1.0_#00000001"
    data = ole(
        {
            (folders[0], "__substg1.0_37010102"): b"none",
            (folders[1], "__substg1.0_3704001E"): b"SHORT~1.EXE",
            (folders[1], "__substg1.0_37010102"): b"two",
            (folders[1], "__substg1.0_3707001E"): b"long.exe",
        }
    )

    assert found(data) == [("attachment", b"none", ""), ("SHORT~1.EXE", b"", ""), ("long.exe", b"two", "")]


def test_the_text_of_a_message() -> None:
    assert ("body.txt", "é".encode(), "") in found(msg(body="é"))


def test_encrypted_office_files_are_flagged() -> None:
    assert ("EncryptedPackage", b"", "encrypted") in found(ole({("EncryptionInfo",): b"x", ("EncryptedPackage",): b"y" * 100}))


def test_streams_that_share_their_bytes_have_a_limit() -> None:
    """Many names for one large stream."""
    small: dict[tuple[str, ...], bytes] = {(f"{n}",): b"x" for n in range(30)}
    data = ole(small | {("large",): bytes(20_000)})
    folder = slice(1024, 1024 + 8 * 512)
    sizes = data[folder].replace(struct.pack("<Q", 1), struct.pack("<Q", 20_000))

    assert found(data[: folder.start] + sizes + data[folder.stop :])[-1][2] == "limit"
