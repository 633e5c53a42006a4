"""The files of messages that doors ask about."""

import hashlib
import os
from pathlib import Path

import pytest

from enqueuer.queue.directory import asked
from enqueuer.queue.directory.asked import AskedFile, DoorIds, wipe
from enqueuer.queue.message import envelope
from enqueuer.queue.message.client import RemoteClient

ABOVE = b"Received: from client\n\tby here\n"
HEAD = envelope.make(b"a@a.example", (b"b@b.example",), "01-01-2026 00:00:00", "here", RemoteClient("192.0.2.1"), words=b" queue-id=4F")


@pytest.fixture(autouse=True)
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Asked").mkdir()
    return tmp_path


def whole(data: bytes) -> bool:
    """Return whether a queue file fits its O line."""
    line = envelope.parse_o(data)
    assert line is not None
    digest = envelope.Digest(data[: line.offset], data[line.offset + envelope.O_LENGTH :])
    return digest.line() == envelope.o_line(line.length, line.digest)


@pytest.mark.parametrize("size", [0, 100, asked.GATHERED, asked.GATHERED + 1, 3 << 20])
@pytest.mark.parametrize("piece", [1000, 65535])
def test_a_file_is_a_whole_queue_file(base: Path, size: int, piece: int) -> None:
    message = b"Subject: x\n\n" + b"0123456789abcde\n" * (size // 16)
    file = AskedFile(7, HEAD, ABOVE)
    for at in range(0, len(message), piece):
        file.write(message[at : at + piece])
    file.finish()
    data = (base / "Asked/7.msg").read_bytes()
    assert whole(data)
    head, _, rest = data.partition(b"\n\n")
    assert len(head.split(b"\n")) == 5
    assert b"S SMTP [192.0.2.1]" in head
    assert b"queue-id=4F" in head
    assert rest == ABOVE + message
    assert file.size == len(message)
    assert file.begin == message[: len(file.begin)]
    file.release()
    assert file.content() == hashlib.sha256(message).digest()
    file.remove()
    assert not os.listdir("Asked")


def test_a_long_message_keeps_little_in_memory(base: Path) -> None:
    file = AskedFile(7, HEAD, ABOVE)
    for _ in range(64):
        file.write(b"x" * 65536)
    assert sum(map(len, file._pieces)) + len(file.begin) <= asked.GATHERED + 65536
    file.remove()


def test_a_file_that_was_not_finished_is_removed(base: Path) -> None:
    file = AskedFile(7, HEAD, ABOVE)
    file.write(b"x" * (1 << 20))
    assert os.listdir("Asked") == ["7.msg"]
    file.remove()
    file.remove()
    assert not os.listdir("Asked")


def test_an_existing_name_is_never_written(base: Path) -> None:
    (base / "Asked/7.msg").symlink_to(base / "elsewhere")
    file = AskedFile(7, HEAD, ABOVE)
    file.write(b"x\n")
    with pytest.raises(FileExistsError):
        file.finish()
    assert not (base / "elsewhere").exists()


def test_ids_never_repeat_even_if_the_clock_goes_back() -> None:
    ids = DoorIds(3)
    found = [ids.take(now) for now in (1000, 1000, 500, 2000)]
    assert found == sorted(set(found))
    assert all(str(id).startswith("3") and len(str(id)) == 18 for id in found)
    assert DoorIds(3, found[-1]).take(0) == found[-1] + 1


def test_a_door_wipes_what_its_predecessor_left(base: Path) -> None:
    for name in (f"{DoorIds(1).take(5)}.msg", f"{DoorIds(2).take(5)}.msg", "note.txt"):
        (base / "Asked" / name).touch()
    assert wipe(1) == 1
    assert len(os.listdir("Asked")) == 2
    assert wipe() == 1
    assert os.listdir("Asked") == ["note.txt"]
    (base / "Asked/mine.msg").touch()
    assert wipe() == 0
