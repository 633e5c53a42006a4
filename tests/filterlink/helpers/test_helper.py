"""Demands on the handling of one process: found, fed, read to its end, reaped, whatever it does."""

import errno
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from filterlink.helpers import helper as module
from filterlink.helpers.helper import Helper, Line
from filterlink.helpers.spawn import find_program
from filterlink.process.orphans import reap
from filterlink.protocol.protocol import Event, HelperReply
from filterlink.wire.loop import Loop

Start = Callable[..., "Owned"]


class Owned:
    """A helper with all it told, on a loop of its own."""

    def __init__(self, words: list[str], pipelining: bool) -> None:
        self.told: list[Event] = []
        self.stderr = b""
        self.lines: list[bytes] = []
        self.writes: list[int] = []
        """How many lines each had."""
        self.status: int | None = None
        self.left = 0
        self.loop = Loop()
        self.helper = Helper(self.loop, words, pipelining, self)

    def events(self, events: list[Event]) -> None:
        self.told += events

    def errors(self, data: bytes) -> None:
        self.stderr += data

    def written(self, lines: list[Line]) -> None:
        self.lines += [line for line, _ in lines]
        self.writes.append(len(lines))

    def leaving(self) -> None:
        self.left += 1

    def deaf(self, how: str) -> None:
        self.helper.signal(signal.SIGKILL)

    def ended(self, status: int) -> None:
        self.status = status

    def is_over(self) -> bool:
        return self.status is not None

    def until(self, condition: Callable[[], Any]) -> None:
        end = time.monotonic() + 15
        while not condition():
            assert time.monotonic() < end, (self.told[-3:], self.stderr[-200:], self.status)
            self.loop.turn(0.02)

    def close(self) -> None:
        if self.status is None:
            self.helper.signal(signal.SIGKILL)
            self.until(lambda: self.status is not None)
        self.loop.close()


@pytest.fixture
def start(base: Path) -> Iterator[Start]:
    """Starts helpers in the base directory: start("sh", "-c", "...")."""
    assert base.is_dir()
    owned: list[Owned] = []

    def make(*words: str, pipelining: bool = False) -> Owned:
        owned.append(Owned(list(words), pipelining))
        return owned[-1]

    yield make
    for each in owned:
        each.close()


def shell(start: Start, script: str, **values: bool) -> Owned:
    return start("/bin/sh", "-c", script, **values)


def test_an_unwritten_line_is_taken_back(start: Start) -> None:
    """The lines before and after it are written, and one that is written or unknown is not there."""
    owned = start("cat")
    owned.until(lambda: owned.helper._drained)
    for number in (1, 2, 3):
        owned.helper.send(b"%d OK\n" % number, number)
    assert [owned.helper.take_back(number) for number in (2, 2, 9)] == [True, False, False]
    owned.until(lambda: len(owned.told) == 2)

    assert owned.lines == [b"1 OK\n", b"3 OK\n"]
    assert not owned.helper.take_back(1)


def test_programs_are_found(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path is taken as it is; a bare word is beside our own program or on PATH, and never in the base directory."""
    for name in ("scan", "sh", Path(sys.executable).name):
        (base / name).write_text("#!/bin/sh\n")
        (base / name).chmod(0o755)
    monkeypatch.setenv("PATH", f":.:tools::/bin:/usr/bin:{base.name}:")
    monkeypatch.setattr(sys, "argv", ["bin/enqueuer"])

    assert find_program("./scan") == "./scan"
    assert find_program("tools/scan") == "tools/scan"
    assert find_program("sh") == "/bin/sh"
    assert find_program(Path(sys.executable).name) == sys.executable
    with pytest.raises(FileNotFoundError, match=r"scan is not on PATH \(the one in the base directory is \./scan\)"):
        find_program("scan")
    with pytest.raises(FileNotFoundError, match=r"no-such-program is not on PATH$"):
        find_program("no-such-program")


def test_started_in_the_base_directory_with_nothing_of_ours(start: Start, base: Path) -> None:
    """Its directory is the base; it is alone in its group; it has three descriptors and the default signals."""
    with (base / "ours").open("wb"):
        owned = start(
            sys.executable,
            "-c",
            "import os, signal; print(1, 'ERROR', os.getcwd(), os.getpgrp() == os.getpid(), len(os.listdir('/proc/self/fd')) - 1,"
            " signal.getsignal(signal.SIGTERM) == signal.SIG_DFL)",
        )
        owned.until(lambda: owned.status is not None)

    (answer,) = owned.told
    assert isinstance(answer, HelperReply)
    assert answer.answer.text == f"{base} True 3 True"


def test_a_program_that_cannot_be_run(start: Start, base: Path) -> None:
    """It is an OSError, and nothing is left."""
    (base / "text").write_text("no program")

    with pytest.raises(PermissionError):
        start("./text")


def test_one_line_at_a_time(start: Start) -> None:
    """The second line is written when the first was read, not before."""
    owned = shell(start, "read a; echo 1 OK; while [ ! -e go ]; do sleep 0.02; done; read b; echo 2 OK; cat >/dev/null")
    for number in range(3):
        owned.helper.send(b"%d FILE x\n" % number, number)
    owned.until(lambda: owned.told)
    owned.until(lambda: len(owned.lines) == 2)
    for _ in range(10):
        owned.loop.turn(0.01)
    assert len(owned.lines) == 2
    Path("go").touch()
    owned.until(lambda: len(owned.told) == 2 and len(owned.lines) == 3)


def test_pipelining_writes_at_once(start: Start) -> None:
    """With pipelining all lines go into the pipe unread."""
    owned = shell(start, "while [ ! -e go ]; do sleep 0.02; done", pipelining=True)
    for number in range(50):
        owned.helper.send(b"%d FILE x\n" % number, number)

    owned.until(lambda: len(owned.lines) == 50)


def test_lines_of_one_turn_are_one_write(start: Start) -> None:
    """With pipelining; as many as a pipe takes whole, the others in the next write. Without it each line has its own."""
    together = shell(start, "cat", pipelining=True)
    apart = shell(start, "cat")
    for owned in (together, apart):
        _send_500(owned)

    assert together.writes == [195, 195, 110]
    assert apart.writes == [1] * 500
    assert [event.line for event in together.told] == [line.strip() for line in together.lines]


def _send_500(owned: Owned) -> None:
    """To `cat`, which gives all back."""
    owned.until(lambda: owned.helper._drained)
    for number in range(1, 501):
        owned.helper.send(b"%03d FILE Queue/x.msg\n" % number, number)
    owned.until(lambda: len(owned.lines) == len(owned.told) == 500)


def test_what_was_sent_is_written_before_the_input_is_closed(start: Start) -> None:
    """A line and the end of the input right behind it: the helper reads the line."""
    owned = shell(start, "cat", pipelining=True)
    owned.until(lambda: owned.helper._drained)
    owned.helper.send(b"1 OK\n", 1)
    owned.helper.close_input()
    owned.until(owned.is_over)

    assert [event.line for event in owned.told] == [b"1 OK"]


def test_read_to_the_end(start: Start) -> None:
    """A megabyte written just before death, and the last words on stderr, all come before the end is told."""
    owned = shell(start, 'i=0; while [ $i -lt 20000 ]; do echo "$i OK"; i=$((i+1)); done; echo farewell >&2; exit 7')
    owned.until(lambda: owned.status is not None)

    assert [event.number for event in owned.told if isinstance(event, HelperReply)] == list(range(20000))
    assert (owned.stderr, owned.status) == (b"farewell\n", 7)


def test_children_answer_for_their_parent(start: Start) -> None:
    """Output is read on while a child of the dead helper holds it."""
    owned = shell(start, "(sleep 0.2; echo 5 OK) & exit 0")
    owned.until(lambda: owned.status is not None)

    assert [event.line for event in owned.told] == [b"5 OK"]


def test_a_daemon_that_holds_the_output(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is waited for so long, then the rest of the group is ended."""
    monkeypatch.setattr(module, "LINGER", 0.2)
    owned = shell(start, "sleep 1000 & exit 0")
    pid = owned.helper.pid
    owned.until(lambda: owned.status is not None)

    assert owned.left >= 1
    owned.until(lambda: not running(pid))


def running(group: int) -> bool:
    """A process of the group is there that is no zombie."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _parent, pgrp = stat.read_text().rpartition(")")[2].split()[:3]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(pgrp) == group and state != "Z":
            return True
    return False


def test_who_closes_its_output_is_of_no_use(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """It gets nothing more, and a moment to end by itself."""
    monkeypatch.setattr(module, "DEAF", 0.2)
    owned = shell(start, "exec >&-; sleep 1000")
    owned.until(lambda: owned.status is not None)

    assert owned.status == -signal.SIGKILL
    assert owned.left >= 1


def test_lines_for_who_closed_its_input(start: Start) -> None:
    """They go nowhere, and no other descriptor gets them."""
    owned = shell(start, "exec <&-; echo 1 OK; while [ ! -e go ]; do sleep 0.02; done; exit 4")
    owned.until(lambda: owned.told)
    for number in range(5):
        owned.helper.send(b"%d FILE x\n" % number, number)
    owned.loop.turn(0.05)
    owned.helper.send(b"9 FILE x\n", 9)
    Path("go").touch()
    owned.until(lambda: owned.status is not None)

    assert owned.status == 4


def test_no_descriptor_is_left(start: Start) -> None:
    """After twenty helpers as many descriptors are open as before."""
    first = shell(start, "exit 0")
    first.until(lambda: first.status is not None)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        owned = shell(start, "exit 0")
        owned.until(owned.is_over)
        owned.loop.close()

    assert len(os.listdir("/proc/self/fd")) == before


def test_nothing_is_left_of_half_a_start(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that cannot be watched, because no descriptor is left, is ended at once."""
    owner = shell(start, "exit 0")
    before = len(os.listdir("/proc/self/fd"))
    started: list[int] = []

    def full(pid: int) -> int:
        started.append(pid)
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as context:
        context.setattr(os, "pidfd_open", full)
        with pytest.raises(OSError, match="Too many"):
            Helper(owner.loop, ["cat"], False, owner)

    assert not Path(f"/proc/{started[0]}").exists()
    assert len(os.listdir("/proc/self/fd")) == before


DAEMON = """
import os, sys
sys.stdin.readline()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.execve("/bin/sh", ["sh", "-c", "exec 0<&- 1>&- 2>&-; echo $$ > daemon; sleep 1000 & sleep 1000"], {})
    os._exit(0)
os.wait()
while not os.path.exists("daemon") or not open("daemon").read():
    pass
print("1 OK", flush=True)
"""
"""Leaves a daemon behind: another session and group, no environment, none of its pipes, and a child of its own."""


def test_a_daemon_ends_with_its_helper(start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not before: it may work for it. No other process is touched."""
    monkeypatch.chdir(tmp_path)
    owned = start(sys.executable, "-c", DAEMON)
    other = start("sleep", "1000")
    owned.helper.send(b"1 FILE a\n", 1)
    owned.until(lambda: owned.told)
    daemon = int((tmp_path / "daemon").read_text())
    family = [daemon, *_children(daemon)]
    assert len(family) > 1

    owned.helper.close_input()
    owned.until(owned.is_over)
    assert f"left processes behind, they are ended: {daemon}" in owned.told[-1].complaint  # type: ignore[union-attr]
    owned.until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in family))
    assert Path(f"/proc/{other.helper.pid}").exists()


def test_an_orphan_that_ends_by_itself_is_no_zombie(start: Start) -> None:
    owned = start("sh", "-c", "(sleep 0.01 & echo $!); exec cat")
    owned.until(lambda: owned.told)
    orphan = int(str(getattr(owned.told[0], "line", b"").decode()))

    def is_reaped() -> bool:
        reap()
        return not Path(f"/proc/{orphan}").exists()

    owned.until(is_reaped)
    assert not owned.is_over()


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
