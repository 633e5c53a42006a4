"""Which message is meant, and what the log tells of one that has left."""

from pathlib import Path
from typing import Any

import pytest

DROP = "1764000000000000000-4711-1.sub"
LOG = f"""\
10:00:00.000 2 QUEUE([17]) from <ann@a.example>, 6910 bytes, {DROP}
10:00:00.100 2 QUEUE([17]) enqueued: OUT(1)
10:00:00.100 2 QUEUE([18]) from <x, 1 bytes, {DROP}@a.example>, 6910 bytes, other.eml
"""


@pytest.fixture
def log(base: Path) -> Path:
    """The log of a day on which one message came and went."""
    path = base / "SystemLogs/2026-11-24.log"
    path.write_text(LOG)
    return path


@pytest.mark.parametrize("word", ["17", "17.msg", "Outbound/OUT/17-2.msg", "Bad/17.why", DROP, f"Submitted/{DROP}"])
@pytest.mark.usefixtures("log")
def test_a_message_has_many_names(enqueuer: Any, word: str) -> None:
    """Its id, those of its files, and the one that `submit` printed; of what has left the log tells."""
    page = enqueuer("queue", "show", word)

    assert page.returncode == 66
    assert b"the queue holds no message 17\n  2026-11-24 10:00:00.000 2 QUEUE([17]) from" in page.stderr
    assert page.stderr.count(b"\n") == 3


def test_a_drop_that_is_being_judged_is_found_by_its_name(enqueuer: Any, base: Path) -> None:
    """Without the log."""
    (base / f"Submitted/.taken/17.{DROP}").write_bytes(b"To: bob@b.example\n\ntext\n")
    page = enqueuer("queue", "show", DROP)

    assert (page.returncode, page.stdout[:4]) == (0, b"17  ")


def test_a_drop_that_never_became_a_message(enqueuer: Any, base: Path) -> None:
    """Where it lies, or why it was refused."""
    assert b"no message came as a.eml" in enqueuer("queue", "show", "a.eml").stderr
    (base / "Submitted/a.eml").touch()
    assert b"a.eml lies in Submitted, and was not taken yet" in enqueuer("queue", "show", "a.eml").stderr
    (base / "Submitted/a.eml").unlink()
    (base / "Submitted/a.bad.why").write_text('{"reason": "no recipient"}')
    assert b"a.eml was refused: no recipient" in enqueuer("queue", "show", "a.eml").stderr


@pytest.mark.parametrize("words", [("queue", "show"), ("queue", "retry"), ("quarantine", "show"), ("quarantine", "release")])
def test_what_is_no_id_is_told(enqueuer: Any, words: tuple[str, ...]) -> None:
    page = enqueuer(*words, "abc")

    assert page.returncode == 64
    assert b"'abc' is no id of a message: ids are numbers" in page.stderr
