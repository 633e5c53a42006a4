from pathlib import Path

import pytest

from enqueuer import basedir
from enqueuer.lab.ownmail import read
from enqueuer.queue.message import header
from enqueuer.tune.mail import made, own, waiting

QUEUED = b"P I 01-01-2026 00:00:00 0000 ____ ____ <a@b.c>\nS PIPE [0.0.0.0]\nA b.c\nR W 01-01-2026 00:00:00 0000 ____ _FY_ <x@y.z>\n\n"
MESSAGE = b"From: a@b.c\nTo: b@b.c\n\ntext\n"


@pytest.fixture
def base(tmp_path: Path) -> Path:
    basedir.create(tmp_path / "base")
    return tmp_path / "base"


def test_copies_of_what_waits(base: Path) -> None:
    """In the queue with its own recipients, and in the drop folder; nothing of it changes."""
    (base / "Queue/17.msg").write_bytes(QUEUED + MESSAGE)
    (base / "Queue/.ids").write_bytes(b"99\n")
    (base / "Queue/18.msg").write_bytes(b"half")
    (base / "Submitted/a.eml").write_bytes(MESSAGE)
    (base / "Submitted/.taken/19.b.eml").write_bytes(MESSAGE + b"two\n")
    (base / "Submitted/c.tmp").write_bytes(b"not yet")
    (base / "Submitted/link.eml").symlink_to("/etc/passwd")
    before = [(path, path.stat().st_mtime_ns) for path in sorted(base.rglob("*"))]
    found = waiting(base)

    assert found is not None
    assert found.messages == [b"Envelope-To: <x@y.z>\n" + MESSAGE, MESSAGE, MESSAGE + b"two\n"]
    assert found.source == "3 copies of what waits in the queue"
    assert [(path, path.stat().st_mtime_ns) for path in sorted(base.rglob("*"))] == before
    assert header.read(found.messages[0]).recipients == (b"x@y.z",)


def test_an_empty_queue_has_none(base: Path) -> None:
    """Then made ones are taken, and it is said."""
    assert waiting(base) is None
    assert "sample messages" in made().source
    assert len(made().messages) > 20


def test_ones_own(tmp_path: Path) -> None:
    """With a recipient where they name none."""
    (tmp_path / "1").write_bytes(b"Subject: x\n\n")

    assert own(read(tmp_path / "1"), "~/1") == ([b"Envelope-To: postmaster@localhost\nSubject: x\n\n"], "1 of ~/1")
