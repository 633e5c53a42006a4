"""Demands on the message file: what a drop becomes, byte for byte, and what is left when it cannot."""

from collections.abc import Iterable
from pathlib import Path

import pytest

from enqueuer.queue import derive, envelope, recovery
from enqueuer.queue.disk import CHUNK, Disk

AT, HOST = "24-11-2026 10:00:00", "host.example"


def _derive(disk: Disk, data: bytes) -> derive.Message:
    Path("Submitted/.taken/7.a.eml").write_bytes(data)
    return derive.derive(disk, 7, "Submitted/.taken/7.a.eml", AT, HOST)


def _message() -> bytes:
    data = Path("Queue/7.msg").read_bytes()
    return data[envelope.head_end(data) :]


@pytest.mark.parametrize("size", [0, 10, derive.FIRST, CHUNK - 50, CHUNK + 50, 3 * CHUNK])
@pytest.mark.parametrize("eol", [b"\n", b"\r\n"])
def test_the_message_comes_through_byte_for_byte(disk: Disk, size: int, eol: bytes) -> None:
    """Small or large, LF or CRLF: only what the envelope takes out is missing, and the digest is right."""
    kept = b"To: b@b.example" + eol + b"X: \xff\x00" + eol + eol + (b"line\r\x00" + eol) * (size // 8)
    message = _derive(disk, b"Bcc: c@c.example" + eol + kept)

    assert _message() == kept
    assert message.size == len(kept)
    assert message.envelope.recipients == (b"b@b.example", b"c@c.example")
    assert recovery.whole(disk, 7)
    assert not Path("Queue/7.tmp").exists()


def test_a_message_without_a_body_is_a_message(disk: Disk) -> None:
    _derive(disk, b"To: b@b.example\n")

    assert _message() == b"To: b@b.example\n"


def test_no_recipient_is_refused_and_leaves_nothing(disk: Disk) -> None:
    with pytest.raises(derive.Refused, match="no recipient"):
        _derive(disk, b"Subject: x\n\nbody\n")

    assert sorted(path.name for path in Path("Queue").iterdir()) == []


def test_a_header_without_end_is_refused(disk: Disk) -> None:
    """A reader's memory stays bounded: what has no empty line within 4 MiB is no mail."""
    with pytest.raises(derive.Refused, match="no end within 4 MiB"):
        _derive(disk, b"To: b@b.example\n" + b"x" * (5 << 20))


def test_a_full_disk_leaves_nothing_half(disk: Disk) -> None:
    """What cannot be written whole is not there at all."""

    def chunks() -> Iterable[bytes]:
        yield b"first"
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        disk.create("Queue/7.tmp", chunks())
    assert not Path("Queue/7.tmp").exists()


def test_load_reads_back_what_derive_made(disk: Disk) -> None:
    made = _derive(disk, b"From: a@a.example\nTo: b@b.example\n\nhello\n")

    assert derive.load(disk, 7, made.stamp) == made
    assert derive.load(disk, 7, None) == made


def test_load_refuses_what_is_no_message_file(disk: Disk) -> None:
    Path("Queue/7.msg").write_bytes(b"no empty line")

    with pytest.raises(ValueError, match="no empty line"):
        derive.load(disk, 7, None)
    with pytest.raises(FileNotFoundError):
        derive.load(disk, 8, None)
