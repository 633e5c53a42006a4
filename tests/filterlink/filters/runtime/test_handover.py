import os
from collections.abc import Callable
from pathlib import Path

import pytest

from filterlink.filters.runtime import handover
from filterlink.filters.runtime.handover import RECEIVED, Handover
from filterlink.filters.runtime.runtime import Unreadable

Queued = Callable[[bytes], str]
MESSAGE = b"Subject: x\n\n" + b"body\r\n" * 100_000


@pytest.mark.parametrize("before", [b"", RECEIVED])
@pytest.mark.parametrize("in_memory", [0, 8 << 20])
def test_the_message_without_its_envelope(
    queued: Queued, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: bytes, in_memory: int
) -> None:
    """As a nameless file, in pieces, as a file with a name: the same bytes, as often as one asks."""
    monkeypatch.setattr(handover, "IN_MEMORY", in_memory)
    with Handover(queued(MESSAGE), before) as message:
        for _ in range(2):
            assert os.pread(message.descriptor(), 1 << 20, 0) == before + MESSAGE
            assert b"".join(message.pieces()) == before + MESSAGE
            message.write(str(tmp_path / "copy"))
            assert (tmp_path / "copy").read_bytes() == before + MESSAGE
        assert message.size == len(before + MESSAGE)
    assert (tmp_path / "copy").stat().st_mode & 0o777 == 0o600


def test_a_plain_mail_file_is_taken_as_it_is(tmp_path: Path) -> None:
    """Also an empty one."""
    for data in (MESSAGE, b""):
        (tmp_path / "mail").write_bytes(data)
        with Handover(str(tmp_path / "mail")) as message:
            assert os.pread(message.descriptor(), 1 << 20, 0) == data


def test_what_cannot_be_copied_is_unreadable(queued: Queued, tmp_path: Path) -> None:
    """The message is deferred, and the reason says why."""
    with Handover(queued(MESSAGE)) as message, pytest.raises(Unreadable, match="No space left on device"):
        message.write("/dev/full")
    with pytest.raises(Unreadable, match="No such file"):
        Handover(str(tmp_path / "none"))


@pytest.mark.parametrize("eol", [b"\n", b"\r\n"])
def test_a_field_on_top_has_the_line_ends_of_the_message(queued: Queued, eol: bytes) -> None:
    """It counts in the size, and is above what was there; nothing is none."""
    data = b"Subject: x" + eol + eol + b"body" + eol
    with Handover(queued(data), RECEIVED) as message:
        message.put_before(b"X: y\n")
        message.put_before(b"")
        expected = b"X: y" + eol + RECEIVED + data
        assert b"".join(message.pieces()) == os.pread(message.descriptor(), 1 << 20, 0) == expected
        assert message.size == len(expected)


@pytest.mark.parametrize("blank", [b" ", b"\t"])
def test_a_message_that_begins_with_a_blank_does_not_continue_a_field(queued: Queued, blank: bytes) -> None:
    """A field of ours separates them, as the engine does."""
    with Handover(queued(blank + b"more\r\n\r\n")) as message:
        message.put_before(b"X: y\n")
        assert (
            b"".join(message.pieces()) == b"X: y\r\nX-Enqueuer-Orphan: the message begins with the next line\r\n" + blank + b"more\r\n\r\n"
        )
