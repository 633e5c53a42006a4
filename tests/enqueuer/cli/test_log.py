"""`enqueuer log`: over all days and both formats, with conditions; following a running engine; the page on a terminal."""

import contextlib
import fcntl
import gzip
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from enqueuer.lab.trial import Trial
from enqueuer.log.entries import parse

Config = Callable[..., str]
Make = Callable[..., bytes]
Trials = Callable[[str], Trial]
DAYS = {
    "2026-11-26": """\
09:00:00.000 2 QUEUE([17]) from <ann@a.example>, 6910 bytes, a.eml
09:00:00.048 2 QUEUE([17]) deferred: the filter said: later
""",
    "2026-11-27": """\
08:00:00.000 0 ENQUEUER the supervisor failed
08:00:01.000 3 EXTFILTER(Scan) pid 4711 ended with exit code 1
09:00:00.000 2 QUEUE([17]) enqueued: OUT(1); to=<bob@b.example> (+2), message-id=<x@y>, delay=86400.0s
09:10:00.000 2 QUEUE([18]) from <eve@x.example>, 1 bytes, b.eml
""",
    "2026-11-28": """\
14:29:59.000 2 QUEUE([18]) quarantined: EICAR; to=<Bob@b.example>
14:30:30.000 4 SPOOL looked
14:31:00.000 1 QUEUE a failure
""",
}
ALL = [f"{day} {line}" for day, text in DAYS.items() for line in text.splitlines()]


@pytest.fixture(params=["text", "json"])
def logs(base: Path, request: pytest.FixtureRequest) -> Path:
    """Make a log of three days: the older ones are compressed, and both formats occur."""
    folder = base / "SystemLogs"
    for day, text in DAYS.items():
        lines = [parse(line.encode(), day) for line in text.splitlines()]
        data = "".join(f"{line.in_json() if request.param == 'json' else line.line}\n" for line in lines).encode()
        if day == "2026-11-28":
            (folder / f"{day}.log").write_bytes(data)
        else:
            (folder / f"{day}-001.log.gz").write_bytes(gzip.compress(data))
    return folder


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ([], range(9)),
        (["-n", "4"], range(5, 9)),
        (["-n", "0"], []),
        (["bob@b.example"], [4, 6]),
        (["BOB@B.example", "delay="], [4]),
        (["-n", "1", "bob"], [6]),
        (["enqueued: OUT(1)"], [4]),
        ([".*"], []),
        (["--id", "17"], [0, 1, 4]),
        (["--id", "a.eml"], [0, 1, 4]),
        (["--id", "Outbound/OUT/17.msg", "OUT"], [4]),
        (["--tag", "QUEUE"], [0, 1, 4, 5, 6, 8]),
        (["--tag", "queue([18])"], [5, 6]),
        (["--tag", "EXTFILTER(Scan)"], [3]),
        (["--level", "failures"], [2, 8]),
        (["--level", "1"], [2, 8]),
        (["--level", "problems"], [0, 1, 2, 3, 4, 5, 6, 8]),
        (["--problems"], [2, 3, 8]),
        (["--problems", "--level", "1"], [2, 8]),
        (["--since", "2026-11-27"], range(2, 9)),
        (["--since", "2026-11-27 09:00"], range(4, 9)),
        (["--until", "2026-11-27"], range(6)),
        (["--since", "2026-11-27", "--until", "2026-11-27T08:00"], [2, 3]),
        (["--until", "2026-11-28 14:30"], range(8)),
        (["--until", "2026-11-28 14:30:29"], range(7)),
        (["--messages", "bob"], [0, 1, 4, 5, 6]),
        (["--messages", "--since", "2026-11-28", "--tag", "QUEUE"], [5, 6]),
        (["--messages", "-n", "2", "delay="], [1, 4]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) and all(isinstance(each, str) for each in value) else "",
)
@pytest.mark.usefixtures("logs")
def test_conditions(enqueuer: Any, words: list[str], found: Any) -> None:
    """A line must meet all conditions. Lines come in order of time, with their day, from compressed files and both formats."""
    page = enqueuer("log", *words)

    assert page.returncode == 0
    assert page.stdout.decode().splitlines() == [ALL[number] for number in found]
    assert page.stderr == (b"" if page.stdout else b"no line was found\n")


@pytest.mark.usefixtures("logs")
def test_json(enqueuer: Any) -> None:
    """The objects have the form of log_format = "json", whatever format the file has."""
    (found,) = json.loads(enqueuer("log", "--json", "EICAR").stdout)
    assert json.loads(enqueuer("log", "--json", "no such text").stdout) == []

    assert {key: found[key] for key in ("level", "level_name", "tag", "id", "text")} == {
        "level": 2,
        "level_name": "major",
        "tag": "QUEUE([18])",
        "id": 18,
        "text": "quarantined: EICAR; to=<Bob@b.example>",
    }
    assert re.fullmatch(r"2026-11-2\dT\d\d:29:59\.000Z", found["time"])


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--since", "soon"], "enqueuer log: --since: 'soon': write a duration"),
        (["--until", "2026-02-30"], "write a duration"),
        (["--level", "loud"], "enqueuer log: --level: 'loud' is not a level: write one of crashes, failures"),
        (["-n", "-1"], "write a number of at least 0"),
        (["--messages"], "--messages needs a condition"),
        (["--messages", "-f", "x"], "does not go with --follow"),
        (["--id", "x y"], "is not the id of a message"),
    ],
)
def test_a_faulty_option(enqueuer: Any, words: list[str], told: str) -> None:
    done = enqueuer("log", *words)

    assert done.returncode == 64
    assert told in done.stderr.decode()


def test_a_name_that_is_not_known(enqueuer: Any) -> None:
    assert enqueuer("log", "--id", "absent.eml").returncode == 66


def test_a_log_that_is_not_there(enqueuer: Any, base: Path) -> None:
    """A base directory has no log before the first start."""
    (base / "SystemLogs").rmdir()

    assert (enqueuer("log").returncode, enqueuer("log").stderr) == (0, b"no line was found\n")


def test_a_damaged_file_is_named(enqueuer: Any, base: Path) -> None:
    (base / "SystemLogs/2026-11-27-001.log.gz").write_bytes(b"x")
    (base / "SystemLogs/2026-11-28.log").write_text("10:00:00.000 2 ENQUEUER running\n")
    done = enqueuer("log")

    assert (done.returncode, done.stdout) == (74, b"2026-11-28 10:00:00.000 2 ENQUEUER running\n")
    assert b"2026-11-27-001.log.gz could not be read to its end: Not a gzipped file" in done.stderr


def test_nothing_in_a_file_steers_the_terminal(enqueuer: Any, base: Path) -> None:
    (base / "SystemLogs/2026-11-28.log").write_bytes(
        b'10:00:00.000 2 X \x1b[31m\x9b\n{"time":"2026-11-28T10:00:00Z","level":2,'
        b'"level_name":"\\u001b","tag":"\\u001b[2J","text":"\\u001b[2J\\n","traceback":"\\u001b[2J"}\n\x1b[2J\n'
    )
    for words in ((), ("--json",)):
        assert b"\x1b" not in enqueuer("log", *words).stdout


# On a terminal


def screen(base: Path, columns: int, *words: str, environment: dict[str, str] | None = None) -> str:
    """Return what a terminal of this width gets."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    settings = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "NO_COLOR")} | (environment or {})
    command = [sys.executable, "-m", "enqueuer.cli.app", *words, "--base", str(base)]
    process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=settings)
    os.close(slave)
    data = b""
    with contextlib.suppress(OSError):  # EIO: the other end was closed
        while piece := os.read(master, 4096):
            data += piece
    os.close(master)
    assert process.wait(20) == 0
    return data.decode().replace("\r\n", "\n")


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.usefixtures("logs")
def test_lines_fit_the_terminal(base: Path, columns: int) -> None:
    """Problems have a colour, except with NO_COLOR; a pipe gets whole lines without colour, as the other tests show."""
    page = screen(base, columns, "log")
    plain = screen(base, columns, "log", environment={"NO_COLOR": "1"})

    assert re.sub(r"\x1b\[[0-9;]*m", "", page) == plain
    assert page.count("\x1b[33m") == 1
    assert page.count("\x1b[1;31m") == 2
    assert max(map(len, plain.splitlines())) <= columns
    assert plain.replace("\n    ", " ").splitlines() == ALL


# Following


class Following:
    """A running `enqueuer log -f`."""

    def __init__(self, base: Path, *words: str) -> None:
        command = [sys.executable, "-m", "enqueuer.cli.app", "log", "-f", *words, "--base", str(base)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.text = ""

    def expect(self, part: str) -> str:
        """Wait for this text; return all that came."""
        assert self.process.stdout is not None
        until = time.monotonic() + 20
        while part not in self.text:
            left = until - time.monotonic()
            assert left > 0, f"{part!r} has not come: {self.text}"
            if select.select([self.process.stdout], [], [], left)[0]:
                self.text += os.read(self.process.stdout.fileno(), 65536).decode()
        return self.text

    def end(self) -> int:
        self.process.send_signal(signal.SIGINT)
        self.process.communicate(timeout=20)
        return self.process.returncode


def test_a_rotation_is_followed(base: Path) -> None:
    """Without an engine it prints the last lines, then each new line, in whichever file it is."""
    current = base / "SystemLogs/2026-11-28.log"
    current.write_text("".join(f"10:00:00.000 2 TEST old {number}\n" for number in range(20)))
    following = Following(base, "-n", "3")
    try:
        following.expect("TEST old 19\n")
        with current.open("a") as file:
            file.write("10:00:00.000 2 TEST before\n")
        following.expect("TEST before\n")
        current.rename(base / "SystemLogs/2026-11-28-001.log")
        current.write_text("10:00:00.000 2 TEST after\n")
        text = following.expect("TEST after\n")
    finally:
        code = following.end()

    assert [line.partition(" TEST ")[2] for line in text.splitlines()] == ["old 17", "old 18", "old 19", "before", "after"]
    assert code == 130


def test_on_a_running_engine(trials: Trials, config: Config, mail: Make) -> None:
    """A drop's name finds the message. Any line of a message finds all its lines. New lines are shown, also after a rotation."""
    with trials(config()) as trial:
        following = Following(trial.base, "--tag", "QUEUE")
        try:
            trial.drop("a", mail("a"))
            following.expect("enqueued: OUT(1)")
            (current,) = (trial.base / "SystemLogs").glob("*.log")
            current.rename(current.with_name(f"{current.stem}-001.log"))
            trial.drop("b", mail("b"))
            following.expect("bytes, b.eml\n")
        finally:
            following.end()
        command = [sys.executable, "-m", "enqueuer.cli.app", "log", "--base", str(trial.base)]
        story = subprocess.run([*command, "--messages", "a.eml"], capture_output=True, text=True, check=True).stdout.splitlines()
        told = [line for line in story if " QUEUE([" in line]
        assert [re.sub(r".*\]\) (\w+).*", r"\1", line) for line in told] == ["from", "enqueued"]
        assert any(" ENQUEUERRULES([" in line and 'rule "scan everything": met' in line for line in story)
        assert subprocess.run([*command, "--id", "a.eml"], capture_output=True, text=True, check=True).stdout.splitlines() == story
        show = [sys.executable, "-m", "enqueuer.cli.app", "queue", "show", "a.eml", "--json", "--base", str(trial.base)]
        for place in (["Outbound/OUT"], []):  # until another program takes it
            document = json.loads(subprocess.run(show, capture_output=True, check=True).stdout)
            assert (document["state"], [os.path.dirname(path) for path in document["files"]], document["log"]) == ("enqueued", place, story)
            for path in document["files"]:
                (trial.base / path).unlink()
