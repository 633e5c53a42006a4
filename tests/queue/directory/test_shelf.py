"""Listings of the disk: complete, in order, and not disturbed by what is broken or goes meanwhile."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from enqueuer.queue.directory import shelf
from enqueuer.queue.directory.disk import Disk
from enqueuer.queue.message import envelope

HEADER = b"Subject: hello\nTo: bob@example.com"


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    """A base directory, entered."""
    for folder in ("Queue", "Quarantine", "Bad", "Submitted/.taken"):
        (tmp_path / folder).mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    disk = Disk()
    yield disk
    disk.close()


def message(folder: str, id: int, recipients: int = 1, rest: bytes = HEADER + b"\n\nbody\n") -> None:
    made = envelope.make(b"ann@example.com", [b"r%d@example.com" % n for n in range(recipients)], "24-11-2026 10:00:00", "localhost")
    Path(folder, f"{id}.msg").write_bytes(made.above + envelope.Digest().line() + made.below + rest)


def test_the_queue_is_listed_by_id_with_what_was_claimed(disk: Disk) -> None:
    """Claimed drops, messages being judged, and deferred ones, oldest id first; foreign names are left alone."""
    message("Queue", 30)
    message("Queue", 20, recipients=3)
    Path("Submitted/.taken/20.a.eml").write_bytes(b"To: x@y\n\n")
    Path(os.fsdecode(b"Submitted/.taken/10.\xff\n.eml")).write_bytes(b"To: x@y\n\n")
    for foreign in ("Queue/.ids", "Queue/5.tmp", "Queue/x.msg", "Queue/7.msg"):
        Path(foreign).write_bytes(b"not a message")

    found = list(shelf.entries(disk, "Queue"))

    assert [(entry.id, entry.state) for entry in found] == [(10, "waiting"), (20, "active"), (30, "deferred")]
    assert [entry.drop for entry in found] == [b"\xff\n.eml", b"a.eml", None]
    assert [len(entry.recipients) for entry in found] == [0, 3, 1]
    assert found[2].size == len(HEADER + b"\n\nbody\n")
    assert found[2].sender == b"ann@example.com"


def test_quarantine_tells_the_reason(disk: Disk) -> None:
    """The .why beside a message is read; a broken one is as good as none."""
    for id, why in ((1, b'{"reason": "virus"}'), (2, b"{"), (3, b"[]"), (4, b"[" * 10_000)):
        message("Quarantine", id)
        Path(f"Quarantine/{id}.why").write_bytes(why)

    assert [entry.why for entry in shelf.entries(disk, "Quarantine")] == [{"reason": "virus"}, {}, {}, {}]


@pytest.mark.parametrize("rest", [HEADER + b"\n\nbody\n\nbody", HEADER.replace(b"\n", b"\r\n") + b"\r\n\r\nbody"])
@pytest.mark.parametrize("recipients", [1, 5000])
def test_head_shows_envelope_and_header_only(disk: Disk, rest: bytes, recipients: int) -> None:
    """However long the envelope, and whatever line ends the message has."""
    message("Queue", 1, recipients, rest)

    lines, header = shelf.head(disk, "Queue", 1)

    assert lines.startswith(b"P I ")
    assert lines.count(b"\nR W ") == recipients
    assert header.split() == HEADER.split()
    assert b"body" not in header


def test_a_message_without_header_is_shown(disk: Disk) -> None:
    """Nothing but a body, or nothing at all."""
    message("Queue", 1, rest=b"\nbody\n\nmore")
    message("Queue", 2, rest=b"")

    assert shelf.head(disk, "Queue", 1)[1] == b""
    assert shelf.head(disk, "Queue", 2)[1] == b""


def test_a_missing_message_is_told(disk: Disk) -> None:
    """Who asks for an id that is not there learns it."""
    with pytest.raises(FileNotFoundError):
        shelf.read(disk, "Bad", 1)
