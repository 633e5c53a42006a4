"""The format number: it is read, written and raised, and a kill in between changes nothing."""

import os
import sys
from pathlib import Path

import pytest

from enqueuer.queue.directory import format


def _make_old(base: Path) -> None:
    """As the engine of format 1 left it."""
    (base / "Queue/.format").unlink()
    (base / "Incoming").rmdir()
    (base / "Hold").rmdir()


def test_a_new_base_directory_has_the_newest_format(base: Path) -> None:
    assert (base / "Queue/.format").read_text() == f"{format.FORMAT}\n"
    assert format.expect_known(base) == format.FORMAT
    assert list(format.convert()) == []


def test_no_file_is_format_1(base: Path) -> None:
    _make_old(base)

    assert format.read() == 1
    assert format.folders_since(1) == frozenset({"Incoming", "Hold"})
    assert not format.folders_since(format.FORMAT)


def test_an_older_base_directory_is_converted(base: Path) -> None:
    """What is in Incoming/ already stays: a conversion may be a second one."""
    _make_old(base)

    assert list(format.convert()) == [
        "the base directory is converted from format 1 to 2: Incoming/ made",
        "the base directory is converted from format 2 to 3: Hold/ made",
    ]
    assert (format.read(), os.listdir("Incoming"), os.listdir("Hold"), sorted(os.listdir("Queue"))) == (3, [], [], [".format"])

    (base / "Queue/.format").unlink()
    (base / "Incoming/smtp-1.lock").touch()
    assert list(format.convert()) == [f"the base directory is converted from format {n} to {n + 1}" for n in (1, 2)]
    assert os.listdir("Incoming") == ["smtp-1.lock"]


def test_a_higher_number_is_refused_with_place_and_cure(base: Path) -> None:
    format.write(format.FORMAT + 1)

    with pytest.raises(
        format.FormatError, match=r"^/srv/mail/Queue/\.format says format 4, .* up to 3: use the version that last ran here"
    ):
        format.expect_known(Path("/srv/mail"))


@pytest.mark.parametrize("text", [b"", b"two\n", b"0\n", b"-1\n", b"2 3\n", b"9" * 64, b"\0" * 8, "²".encode()])
def test_a_file_without_a_number_is_refused(base: Path, text: bytes) -> None:
    (base / "Queue/.format").write_bytes(text)

    with pytest.raises(format.FormatError, match=r"/srv/mail/Queue/\.format holds no format number: restore it"):
        format.expect_known(Path("/srv/mail"))


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo, lambda path: os.symlink("/etc/passwd", path)], ids=["folder", "FIFO", "link"])
def test_what_is_no_file_is_an_error(base: Path, make: object) -> None:
    (base / "Queue/.format").unlink()
    make("Queue/.format")  # type: ignore[operator]

    with pytest.raises(OSError, match=r"\.format"):
        format.expect_known(base)


def test_a_conversion_may_be_killed_at_any_instant(base: Path) -> None:
    """Before each call that Python makes to the filesystem; the next one comes to the same end."""
    deaths = 0
    while _dies_at(base, deaths):
        assert format.read() in (1, 2, 3)
        list(format.convert())
        assert (format.read(), os.path.isdir("Incoming"), os.path.isdir("Hold"), os.listdir("Queue")) == (3, True, True, [".format"])
        deaths += 1

    assert deaths > 6


def _dies_at(base: Path, call: int) -> bool:
    """Convert in a process that ends at this call. False: it came to its end before."""
    for name in os.listdir("Queue"):
        os.unlink(f"Queue/{name}")
    for folder in ("Incoming", "Hold"):
        if os.path.isdir(folder):
            os.rmdir(folder)
    if not (pid := os.fork()):
        left = [call]

        def count(event: str, _: object) -> None:
            if event in ("open", "os.mkdir", "os.rename", "os.remove"):
                if not left[0]:
                    os._exit(9)
                left[0] -= 1

        sys.addaudithook(count)
        list(format.convert())
        os._exit(0)
    return os.waitpid(pid, 0)[1] != 0
