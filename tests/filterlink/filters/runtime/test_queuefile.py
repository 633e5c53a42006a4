import os
from pathlib import Path

import pytest

from filterlink.filters.runtime.queuefile import open_message
from filterlink.filters.runtime.workers import Unreadable


def test_envelope_and_message_are_told_apart(tmp_path: Path) -> None:
    """A queue file has envelope lines first, a plain mail file has none."""
    mail = tmp_path / "mail"
    mail.write_bytes(b"P I 01-01-2026 00:00:00 0000 ____ ____ <a@b>\nO L\nR W x <c@d>\n\nSubject: x\n\nbody\n")
    assert open_message(str(mail)) == ([b"P I 01-01-2026 00:00:00 0000 ____ ____ <a@b>", b"O L", b"R W x <c@d>"], b"Subject: x\n\nbody\n")
    mail.write_bytes(b"Subject: x\n\nbody\n")
    assert open_message(str(mail)) == ([], b"Subject: x\n\nbody\n")
    mail.write_bytes(b"")
    assert open_message(str(mail)) == ([], b"")


def test_a_pipe_is_no_queue_file(tmp_path: Path) -> None:
    """Opening one would wait for ever."""
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(Unreadable, match="not a regular file"):
        open_message(str(tmp_path / "fifo"))
