"""The runtime as a real program on real pipes, with a filter that does what the file's name says."""

import contextlib
import os
import resource
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

PATIENCE = 10.0
PROGRAM = """
import os, signal, sys
from filterlink.filters.runtime.runtime import *

def judge(path):
    data = open_message(path).data
    name = os.path.basename(path)
    if "wait" in name:
        os.close(os.open(os.path.join(os.path.dirname(path), "gate"), os.O_RDONLY))
    if "bug" in name:
        raise ValueError("a bug")
    if "deep" in name:
        judge(path)
    if "memory" in name:
        raise MemoryError
    if "much" in name:
        bytearray(1 << 30)
    if "native" in name:
        import re
        re.match("(a+)+$", "a" * 99 + "b")
    if "long" in name:
        raise ValueError('"' * 10000)
    if "panic" in name:
        raise BaseException("native code")
    if "full" in name:
        import resource
        resource.prlimit(os.getppid(), resource.RLIMIT_NOFILE, (4, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    if "stop" in name:
        os.kill(os.getpid(), 19)
    if "kill" in name:
        os.kill(os.getpid(), 9)
    if "print" in name:
        print("noise")
    if "fork" in name:
        if os.fork() == 0:
            os.closerange(3, 64)
            signal.pause()
        os._exit(3)
    if "forge" in name:
        import stat
        for fd in range(3, 64):
            try:
                if stat.S_ISSOCK(os.fstat(fd).st_mode):
                    os.write(fd, {"ok": b"OK\\n7 OK", "star": b"* OK", "twice": b"OK", "huge": b"OK " + b"x" * 9999, "none": b""}[name[5:]])
            except OSError:
                pass
    if "say" in name:
        say("news  of\tthe day")
    if "other" in name:
        return error(open_message(path.replace("other", "secret")).data.decode())
    if "header" in name:
        return header(("X-A: 1",))
    return error(f"{len(data)} bytes") if "error" in name else ok()

if "confined" in sys.argv:
    sys.exit(serve("test", judge, int(sys.argv[1]), bounds=ScanBounds(confined=True)))
if "bounds" in sys.argv:
    sys.exit(serve("test", judge, int(sys.argv[1]), bounds=ScanBounds(1, error("too slow"), 512 << 20)))
sys.exit((serve_threads if "threads" in sys.argv else serve)("test", judge, int(sys.argv[1])))
"""


class Helper:
    """A running helper; its answers are read line by line, without the number's order."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.folder = folder
        os.mkfifo(folder / "gate")  # opening it to read waits for somebody who has it open to write
        self.gate = -1
        self.unread = b""
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        assert self.process.stdin
        assert self.process.stdout
        self.stdin = self.process.stdin
        self.stdout = self.process.stdout
        self.greeting = self.read()

    def mail(self, name: str, size: int = 20) -> bytes:
        path = self.folder / name
        path.write_bytes(b"Subject: x\n\n".ljust(size, b"a"))
        return os.fsencode(path)

    def write(self, data: bytes) -> None:
        self.stdin.write(data)
        self.stdin.flush()

    def file(self, number: int, name: str, size: int = 20) -> None:
        self.write(b"%d FILE %b\n" % (number, self.mail(name, size)))

    def read(self) -> bytes:
        """The next line; b"" at the end. A helper that says nothing for too long is a failed test, not a hanging one."""
        while b"\n" not in self.unread:
            assert select.select([self.stdout], [], [], PATIENCE)[0], "no answer"
            if not (data := os.read(self.stdout.fileno(), 65536)):
                break
            self.unread += data
        line, _, self.unread = self.unread.partition(b"\n")
        return line

    def ask(self, line: bytes) -> bytes:
        self.write(line + b"\n")
        return self.read()

    def open_gate(self) -> None:
        self.gate = os.open(self.folder / "gate", os.O_RDWR)

    def end(self) -> int:
        self.stdin.close()
        return self.process.wait(10)


@pytest.fixture
def helper(tmp_path: Path) -> Iterator[Helper]:
    yield from running_helper(tmp_path, "4")


@pytest.fixture
def threaded(tmp_path: Path) -> Iterator[Helper]:
    """The same filter judging in threads."""
    (tmp_path / "threads").mkdir()
    yield from running_helper(tmp_path / "threads", "4", "threads")


def running_helper(folder: Path, *arguments: str) -> Iterator[Helper]:
    running = Helper(folder, *arguments)
    with running.process:
        yield running
        running.process.kill()
    if running.gate >= 0:
        os.close(running.gate)


def test_it_greets_with_an_information_line(helper: Helper) -> None:
    """The server's log says what has started."""
    assert helper.greeting.startswith(b"* enqueuer filter test ")
    assert helper.greeting.endswith(b" ready")


@pytest.mark.parametrize(("asked", "answered"), [(b"1", b"1"), (b"3", b"3"), (b"4", b"4"), (b"9", b"4")])
def test_the_interface_version_is_the_lower_of_both(helper: Helper, asked: bytes, answered: bytes) -> None:
    """And the number comes back as it was written."""
    assert b"00001 INTF " + answered == helper.ask(b"00001 INTF " + asked)


def test_key_is_ok_and_unknown_verbs_are_a_failure(helper: Helper) -> None:
    """No command goes without an answer."""
    assert helper.ask(b"1 key ABC") == b"1 OK"
    assert helper.ask(b"2 noop") == b'2 FAILURE "unexpected command: NOOP "'
    assert helper.ask(b"3 FILE") == b'3 FAILURE "unexpected command: FILE "'
    assert helper.ask(b"hello").startswith(b"* not understood")


def test_a_file_is_judged(helper: Helper) -> None:
    """OK, or the text of the filter; a carriage return is no part of the name."""
    helper.file(7, "mail")
    assert helper.read() == b"7 OK"
    assert helper.ask(b"8 file " + helper.mail("error") + b"\r") == b'8 ERROR "20 bytes"'
    assert helper.ask(b"9 FILE " + helper.mail("an error with blanks")) == b'9 ERROR "20 bytes"'


def test_addheader_ends_in_ok_from_version_four_on(helper: Helper) -> None:
    """Older servers take ADDHEADER itself for the last word."""
    assert helper.ask(b"1 FILE " + helper.mail("header")) == b'1 ADDHEADER "X-A: 1" OK'
    helper.ask(b"2 INTF 3")
    assert helper.ask(b"3 FILE " + helper.mail("header")) == b'3 ADDHEADER "X-A: 1"'


def test_lines_come_in_pieces_and_many_at_once(helper: Helper) -> None:
    """What a read returns has nothing to do with lines."""
    helper.write(b"1 IN")
    helper.write(b"TF 4\n2 KEY x\n3 K")
    helper.write(b"EY y\n")

    assert [helper.read() for _ in range(3)] == [b"1 INTF 4", b"2 OK", b"3 OK"]


def test_answers_come_in_any_order(helper: Helper) -> None:
    """A slow one holds nobody."""
    helper.file(1, "wait")
    helper.file(2, "mail")
    assert helper.read() == b"2 OK"
    helper.open_gate()
    assert helper.read() == b"1 OK"


def test_large_files_take_half_of_the_workers_at_most(helper: Helper) -> None:
    """Eight large ones that hang do not delay a small one, and all are answered in the end."""
    for number in range(8):
        helper.file(number, f"wait{number}", (1 << 20) + 1)
    helper.file(99, "mail")
    assert helper.read() == b"99 OK"
    helper.open_gate()
    assert {b"%d OK" % number for number in range(8)} == {helper.read() for _ in range(8)}


def test_a_file_that_cannot_be_opened_is_rejected(helper: Helper) -> None:
    """The message must not pass without a scan."""
    path = os.fsencode(helper.folder)
    assert b'1 REJECTED "cannot open %b/none: No such file or directory"' % path == helper.ask(b"1 FILE %b/none" % path)
    assert b'2 REJECTED "cannot open %b: not a regular file"' % path == helper.ask(b"2 FILE " + path)
    assert helper.ask(b"3 FILE a\0b").startswith(b"3 REJECTED")


def test_a_bug_of_the_filter_makes_the_message_wait(helper: Helper) -> None:
    """The answer counts the bugs, the traceback is one line on stderr, and the helper goes on."""
    assert helper.ask(b"1 FILE " + helper.mail("bug")) == b'1 REJECTED "internal error: ValueError: a bug (1 since the start)"'
    assert helper.ask(b"2 FILE " + helper.mail("mail")) == b"2 OK"
    assert helper.end() == 0
    assert helper.process.stderr
    lines = helper.process.stderr.read().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(b"Traceback")
    assert lines[0].endswith(b"ValueError: a bug")


@pytest.mark.parametrize("name", ["bug", "deep", "memory", "long", "panic"])
def test_no_fault_of_the_filter_lets_a_message_pass(helper: Helper, threaded: Helper, name: str) -> None:
    """Whatever is raised, in a process and in a thread: the message waits, and the next one is judged."""
    for running in (helper, threaded):
        for number in (1, 2):
            said = running.ask(b"%d FILE %b" % (number, running.mail(name)))
            assert said.startswith(b'%d REJECTED "internal error: ' % number)
            assert said.endswith(b' (%d since the start)"' % number)
            assert len(said) <= 4096
        assert running.ask(b"3 FILE " + running.mail("mail")) == b"3 OK"


def test_a_worker_that_cannot_be_started(tmp_path: Path) -> None:
    """The message waits for another worker, or is rejected where there is none; the helper lives on."""
    for running in running_helper(tmp_path, "2"):
        assert running.ask(b"0 FILE " + running.mail("full")) == b"0 OK"
        running.file(1, "wait")
        running.file(2, "mail")
        running.open_gate()
        assert {running.read(), running.read()} == {b"1 OK", b"2 OK"}
        running.file(3, "kill")
        assert running.read().startswith(b'3 REJECTED "internal error: the process')
        running.file(4, "mail")
        assert running.read().startswith(b'4 REJECTED "internal error: no worker can be started: ')
        resource.prlimit(running.process.pid, resource.RLIMIT_NOFILE, resource.getrlimit(resource.RLIMIT_NOFILE))
        assert running.ask(b"5 FILE " + running.mail("mail")) == b"5 OK"


def test_a_message_has_bounds(tmp_path: Path) -> None:
    """Of time, also in native code that no signal handler of Python's interrupts, and of memory."""
    for running in running_helper(tmp_path, "2", "bounds"):
        while b"stood still" in (said := running.ask(b"1 FILE " + running.mail("native"))):
            pass  # other programs had the processors
        assert said == b'1 ERROR "too slow"'
        assert running.ask(b"2 FILE " + running.mail("much")) == b'2 REJECTED "internal error: MemoryError:  (1 since the start)"'
        assert running.ask(b"3 FILE " + running.mail("mail")) == b"3 OK"


def test_a_worker_that_stands_still_is_not_the_message_s_fault(tmp_path: Path) -> None:
    """It was stopped until its time was over: the message waits, whatever becomes of those that cost too much time."""
    for running in running_helper(tmp_path, "1", "bounds"):
        running.file(1, "stop")
        (worker,) = until(_stopped, running.process.pid)
        until(_alarmed, worker)
        os.kill(worker, signal.SIGCONT)
        assert running.read().startswith(b'1 REJECTED "this filter stood still')
        assert running.ask(b"2 FILE " + running.mail("mail")) == b"2 OK"


def until(look: Callable[[int], Any], pid: int) -> Any:
    """What it gives once that is something."""
    end = time.monotonic() + PATIENCE
    while not (found := look(pid)):
        assert time.monotonic() < end, "still not so"
        select.select([], [], [], 0.01)
    return found


def _stopped(pid: int) -> list[int]:
    """Its children that are."""
    return [child for child in _children(pid) if "T (stopped)" in _status(child)]


def _children(pid: int) -> list[int]:
    return list(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


def _expect_state(helper: Helper, state: str) -> None:
    """Of its only worker."""
    end = time.monotonic() + PATIENCE
    while state not in _status(*_children(helper.process.pid)):
        assert time.monotonic() < end, state


def _group(pid: int) -> list[str]:
    """The states of its processes that have not ended."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, group = path.read_text().rpartition(") ")[2].split()[:3]
            found += [state] if int(group) == pid and state != "Z" else []
    return found


def _alarmed(pid: int) -> bool:
    """Whether a SIGALRM waits for it."""
    return bool(int(_status(pid).partition("ShdPnd:\t")[2].split()[0], 16) & 1 << (signal.SIGALRM - 1))


def _status(pid: int) -> str:
    return Path(f"/proc/{pid}/status").read_text()


def test_a_crash_costs_nobody_else(helper: Helper) -> None:
    """The message that crashes its worker is rejected, the one beside it and the next one are judged."""
    helper.file(1, "wait")
    helper.file(2, "kill")
    assert helper.read() == b'2 REJECTED "internal error: the process of this message ended with signal 9 (1 since the start)"'
    assert helper.ask(b"3 FILE " + helper.mail("mail")) == b"3 OK"
    helper.open_gate()
    assert helper.read() == b"1 OK"


def test_what_a_filter_prints_is_no_answer(helper: Helper) -> None:
    """Standard output belongs to the protocol."""
    assert helper.ask(b"1 FILE " + helper.mail("print")) == b"1 OK"


def test_threads_judge_as_well(threaded: Helper) -> None:
    """Several at once, in any order, large ones in half of them; a bug costs one verdict, and the end comes as ever."""
    for number in range(4):
        threaded.file(number, f"wait{number}", (1 << 20) + 1)
    assert threaded.ask(b"8 FILE " + threaded.mail("error")) == b'8 ERROR "20 bytes"'
    assert threaded.ask(b"9 FILE " + threaded.mail("bug")) == b'9 REJECTED "internal error: ValueError: a bug (1 since the start)"'
    threaded.open_gate()
    assert {b"%d OK" % number for number in range(4)} == {threaded.read() for _ in range(4)}
    assert threaded.end() == 0


def test_a_thread_may_say_something_to_the_log(threaded: Helper) -> None:
    """In an information line of its own."""
    assert threaded.ask(b"1 FILE " + threaded.mail("say")) == b"* news of the day"
    assert threaded.read() == b"1 OK"


def test_quit_finishes_what_is_open_first(helper: Helper) -> None:
    """Then it says OK, and ends with its standard input."""
    helper.file(1, "wait")
    helper.write(b"2 QUIT\n3 KEY\n")
    assert helper.read() == b"3 OK"
    helper.open_gate()
    assert [helper.read(), helper.read()] == [b"1 OK", b"2 OK"]
    assert helper.end() == 0


def test_the_end_of_input_finishes_what_is_open(helper: Helper) -> None:
    """Also a last line without its end."""
    helper.file(1, "wait")
    helper.write(b"2 FILE " + helper.mail("mail"))
    helper.stdin.close()
    assert helper.read() == b"2 OK"
    helper.open_gate()
    assert [helper.read(), helper.read()] == [b"1 OK", b""]
    assert helper.process.wait(10) == 0


def test_an_endless_line_is_thrown_away(helper: Helper) -> None:
    """In bounded memory, and the next line counts."""
    for _ in range(100):
        helper.write(b"1 FILE " + b"x" * 10_000)
    assert helper.ask(b"\n2 KEY") == b"2 OK"


def test_a_thousand_requests_at_once(helper: Helper) -> None:
    """Each is answered once."""
    path = helper.mail("mail")
    helper.write(b"".join(b"%d FILE %b\n" % (number, path) for number in range(500)))
    assert {b"%d OK" % number for number in range(500)} == {helper.read() for _ in range(500)}


def test_workers_die_with_a_killed_helper(helper: Helper) -> None:
    """Even one that is busy for ever: its end of standard error closes."""
    helper.file(1, "wait")
    assert helper.ask(b"2 FILE " + helper.mail("mail")) == b"2 OK"
    helper.process.send_signal(signal.SIGKILL)
    assert helper.process.stderr
    assert select.select([helper.process.stderr], [], [], PATIENCE)[0], "a worker lives on"
    assert helper.process.stderr.read() == b""


def test_standard_input_may_be_a_file(tmp_path: Path) -> None:
    """`enqueuer filter yara < commands` works as well."""
    (tmp_path / "mail").write_bytes(b"Subject: x\n\n")
    (tmp_path / "commands").write_bytes(b"1 FILE %b/mail\n2 QUIT\n" % os.fsencode(tmp_path))
    with (tmp_path / "commands").open("rb") as commands:
        done = subprocess.run([sys.executable, "-c", PROGRAM, "2"], stdin=commands, stdout=subprocess.PIPE, timeout=20, check=True)
    assert done.stdout.splitlines()[1:] == [b"1 OK", b"2 OK"]


@pytest.fixture
def confined(tmp_path: Path) -> Iterator[Helper]:
    """The same filter with workers that open no file."""
    yield from running_helper(tmp_path, "1", "confined")


def test_a_confined_worker_reads_its_message_alone(confined: Helper) -> None:
    confined.mail("secret")
    confined.file(1, "error")
    assert confined.read() == b'1 ERROR "20 bytes"'
    confined.file(2, "other")
    assert b"2 REJECTED" in (said := confined.read())
    assert b"secret: Permission denied" in said


def test_what_a_confined_worker_is_not_given(confined: Helper) -> None:
    """A file that is not there, a folder, a FIFO: each is a verdict, and the next message has a worker."""
    assert confined.ask(b"1 FILE /no/such.msg") == b'1 REJECTED "cannot open /no/such.msg: No such file or directory"'
    assert confined.ask(b"2 FILE %b" % os.fsencode(confined.folder)) == b'2 REJECTED "cannot open %b: not a regular file"' % os.fsencode(
        confined.folder
    )
    assert confined.ask(b"3 FILE %b/gate" % os.fsencode(confined.folder)).endswith(b'gate: not a regular file"')
    confined.file(4, "plain")
    assert confined.read() == b"4 OK"


@pytest.mark.parametrize("what", ["ok", "star", "huge", "none"])
def test_a_worker_answers_for_its_message_alone(confined: Helper, what: str) -> None:
    """It may be taken over by what it read: what is no verdict ends it, and is a fault of ours."""
    confined.file(1, f"forge{what}")
    assert confined.read().startswith(b'1 REJECTED "internal error: the process of this message ')
    confined.file(2, "plain")
    assert confined.read() == b"2 OK"


def test_a_worker_that_answers_twice_says_nothing_of_the_next_message(confined: Helper) -> None:
    confined.file(1, "forgetwice")
    assert confined.read() == b"1 OK"
    _expect_state(confined, "S (sleeping)")
    confined.file(2, "error")
    assert confined.read() == b'2 ERROR "20 bytes"'


def test_an_idle_worker_that_ended_costs_no_message(confined: Helper) -> None:
    confined.file(1, "plain")
    assert confined.read() == b"1 OK"
    (worker,) = _children(confined.process.pid)
    os.kill(worker, signal.SIGKILL)
    _expect_state(confined, "Z (zombie)")
    confined.file(2, "error")
    assert confined.read() == b'2 ERROR "20 bytes"'


def test_what_a_confined_worker_forked_ends_with_it(confined: Helper) -> None:
    confined.file(1, "plain")
    assert confined.read() == b"1 OK"
    (worker,) = _children(confined.process.pid)
    confined.file(2, "fork")
    assert confined.read().startswith(b'2 REJECTED "internal error: the process of this message ended with ')
    end = time.monotonic() + PATIENCE
    while _group(worker):
        assert time.monotonic() < end, "what it forked lives on"


def test_a_confined_worker_holds_no_message_open(confined: Helper) -> None:
    for number in range(1, 4):
        confined.file(number, f"a{number}")
        assert confined.read() == b"%d OK" % number
    (worker,) = _children(confined.process.pid)

    assert not [link for link in Path(f"/proc/{worker}/fd").iterdir() if str(confined.folder) in str(link.readlink())]
