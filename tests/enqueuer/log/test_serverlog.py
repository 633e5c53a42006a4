"""Demands on the Server Log: its form, its safety against hostile text, and a logger that may die."""

import logging
import multiprocessing
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from enqueuer.log import logfile, serverlog

LINE = re.compile(r"\d\d:\d\d:\d\d\.\d{3} [0-5] \S+ .*")


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    """The root logger, put back afterwards."""
    root = logging.getLogger()
    handlers = root.handlers[:]
    level = root.level
    yield root
    root.handlers[:] = handlers
    root.setLevel(level)


def _record(text: str, level: int = 30, **extra: str) -> logging.LogRecord:
    record = logging.LogRecord("SPOOL", level, __file__, 0, text, None, None)
    record.__dict__.update(extra)
    return record


def test_form_of_a_line() -> None:
    """HH:MM:SS.mmm L TAG text, with the digit of the level."""
    line = logfile.Formatter().format(_record("hello", 35, tag="QUEUE([7])"))

    assert LINE.fullmatch(line)
    assert line.endswith(" 2 QUEUE([7]) hello")
    assert [logfile.Formatter().format(_record("x", level))[13] for level in (50, 40, 35, 30, 20, 10)] == list("012345")


def test_control_characters_never_reach_the_log_raw() -> None:
    """No text makes a second line, colours a terminal or breaks the file's encoding."""
    line = logfile.Formatter().format(_record("a\n00:00:00.000 0 X forged\r\x1b[31m\0\u2028\udcff"))

    assert line.splitlines() == [line]
    assert "\x1b" not in line
    assert "\\n" in line
    line.encode()


def test_what_hides_or_turns_text_never_reaches_the_log_raw() -> None:
    """C1 control characters, marks of direction, separators, what has no width: each is escaped."""
    hidden = "\x9b\u061c\u200b\u200e\u200f\u2028\u2029\u202a\u202e\u2066\u2069\ufeff\U000e0041"
    line = logfile.Formatter().format(_record(f"a{hidden}b\u00e9"))

    assert line.isprintable()
    assert line.endswith(r"a\x9b\u061c\u200b\u200e\u200f\u2028\u2029\u202a\u202e\u2066\u2069\ufeff\U000e0041b" + "\u00e9")


def test_a_traceback_is_lines_of_the_log() -> None:
    try:
        raise ValueError("bad\nthing")
    except ValueError:
        record = logging.LogRecord("X", 50, __file__, 0, "failed", None, sys.exc_info())
    lines = logfile.Formatter().format(record).split("\n")

    assert len(lines) > 3
    assert all(LINE.fullmatch(line) for line in lines)


def test_long_lines_are_cut_and_say_so() -> None:
    line = logfile.Formatter().format(_record("x" * 100_000))

    assert len(line) < 9000
    assert line.endswith("characters more)")


def _child(handler: serverlog.LogHandler, count: int) -> None:
    handler.in_child(waits=True)
    for n in range(count):
        logging.getLogger("T").warning("pid %d n %d", os.getpid(), n)


def test_records_survive_killed_loggers(root: logging.Logger, tmp_path: Path) -> None:
    """Four processes log while the logger is killed again and again: no hang, order kept, few lost.

    A kill may cut the line that is being written. It does not touch the next one.
    """
    handler = serverlog.install(serverlog.LogWriter(str(tmp_path)), "all")
    context = multiprocessing.get_context("fork")
    ours, theirs = socket.socketpair()

    def logger() -> None:
        ours.close()  # else it would hold its own end open
        handler.serve(theirs.fileno())

    workers = [context.Process(target=_child, args=(handler, 2000)) for _ in range(4)]
    writer = context.Process(target=logger)
    for process in (writer, *workers):
        process.start()
    kills = 0
    while any(worker.is_alive() for worker in workers):
        workers[0].join(0.02)
        assert writer.pid is not None
        os.kill(writer.pid, signal.SIGKILL)
        writer.join()
        kills += 1
        writer = context.Process(target=logger)
        writer.start()
    ours.close()
    writer.join(10)
    handler.channel.reader.close()
    handler.channel.writer.close()
    theirs.close()

    assert writer.exitcode == 0
    (file,) = tmp_path.iterdir()
    found = file.read_text().splitlines()
    lines = [line for line in found if LINE.fullmatch(line)]
    assert len(found) - len(lines) <= kills
    assert 8000 - kills * 2 <= len(lines) <= 8000
    for worker in workers:
        numbers = [int(line.rpartition(" ")[2]) for line in lines if f"pid {worker.pid} " in line]
        assert numbers == sorted(numbers)


def test_a_full_channel_stops_nobody_and_announces_the_gap(root: logging.Logger, tmp_path: Path) -> None:
    """With no logger at all, a process that must not wait drops its lines, and says how many once there is one."""
    handler = serverlog.install(serverlog.LogWriter(str(tmp_path)), "all")
    for n in range(5000):
        logging.getLogger("T").warning("line %d", n)
    ours, theirs = socket.socketpair()
    ours.close()
    for _ in range(10):
        handler.channel.get(0)  # makes room
    logging.getLogger("T").warning("after the gap")
    handler.serve(theirs.fileno())
    handler.channel.reader.close()
    handler.channel.writer.close()
    theirs.close()

    (file,) = tmp_path.iterdir()
    lines = file.read_text().splitlines()
    (gap,) = [line for line in lines if "lines of this process were lost" in line]
    lost = int(gap.split(" ", 3)[3].split()[0])
    assert len(lines) - 2 + 10 + lost == 5000
    assert lines[-1].endswith("after the gap")


def test_lines_of_messages_go_together_and_a_problem_takes_them_along(root: logging.Logger, tmp_path: Path) -> None:
    """One record of the channel for what gathered: the two lines that each message has must not wake the logger one by one."""
    handler = serverlog.install(serverlog.LogWriter(str(tmp_path)), "all")
    handler.channel.gathers = True
    log = logging.getLogger("QUEUE")
    for text in ("from", "enqueued"):
        log.log(serverlog.MAJOR, text)

    assert handler.channel.qsize() == 0
    assert 0 < handler.due <= serverlog.GATHER_TIME
    log.warning("a problem")
    assert [line.text for line in handler.channel.get(1)] == ["from", "enqueued", "a problem"]
    assert handler.flush_due()
    handler.channel.reader.close()
    handler.channel.writer.close()


def test_installing_leaves_no_thread(tmp_path: Path) -> None:
    """The supervisor must be able to fork at any time; the thread that the package starts ends at once."""
    # the kernel forgets a joined thread a little later
    code = (
        "import os, time\nfrom enqueuer.log import serverlog\n"
        f"serverlog.install(serverlog.LogWriter({str(tmp_path)!r}), 'all')\n"
        "until = time.monotonic() + 5\n"
        "while len(os.listdir('/proc/self/task')) > 1 and time.monotonic() < until: pass\n"
        "print(len(os.listdir('/proc/self/task')))"
    )

    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "1\n"


def test_the_logger_ends_with_the_last_line_and_does_not_wait_for_another(root: logging.Logger, tmp_path: Path) -> None:
    """The order to end and the last line come together at each stop of an engine."""
    handler = serverlog.install(logfile.LogWriter(str(tmp_path)), "all")
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with here, there:
        root.warning("the last line")
        there.send(b"end")
        logger = threading.Thread(target=handler.serve, args=(here.fileno(), lambda: not here.recv(10)), daemon=True)
        logger.start()
        logger.join(20)
        assert not logger.is_alive()
    handler.channel.reader.close()
    handler.channel.writer.close()
    assert "the last line" in "".join(path.read_text() for path in tmp_path.glob("*.log"))
