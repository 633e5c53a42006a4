"""Demands on the test bench: it times who behaves, and names what each that strays does amiss."""

import math
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from filterlink.config.settings import Filter
from filterlink.config.units import Seconds, Size
from filterlink.helpers import helper
from filterlink.helpers.spawn import HelperLimits
from filterlink.protocol.protocol import HelperReply
from filterlink.workbench import testbench
from filterlink.workbench.dialogue import HelperCannotStart
from filterlink.workbench.testbench import BenchPlan, BenchReport, TestBench
from tests.helpers.paths import PROGRAMS

RUNNERS = {".sh": "/bin/sh", ".pl": "/usr/bin/perl", ".py": sys.executable}


class Files:
    """Message files that say what the helper say.sh is to answer; it remembers which were changed."""

    def __init__(self, says: str) -> None:
        self.says = says
        self.count = 0

    def take(self, index: int) -> str:
        self.count += 1
        path = Path(f"Queue/{1000 + self.count}.msg")
        path.write_bytes(self.says.encode())
        return str(path)

    def back(self, path: str) -> bool:
        text = Path(path).read_bytes().decode()
        Path(path).unlink()
        return text == self.says


class Watch:
    def __init__(self) -> None:
        self.lines: list[tuple[str, bytes]] = []
        self.answers: list[tuple[int, HelperReply | None]] = []

    def line(self, direction: str, line: bytes) -> None:
        self.lines.append((direction, line))

    def answer(self, index: int, reply: HelperReply | None, seconds: float) -> None:
        self.answers.append((index, reply))


@pytest.fixture(autouse=True)
def _base(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a base directory, with little patience."""
    for name in ("PROBE", "ENDING"):
        monkeypatch.setattr(testbench, name, 1.0)
    monkeypatch.setattr(helper, "DEAF", 0.2)


def bench(program: str, says: str = "%N OK\n", watch: Watch | None = None, **plan: Any) -> BenchReport:
    words = [RUNNERS[Path(program).suffix], str(PROGRAMS / program)] if (PROGRAMS / program).exists() else ["sh", "-c", program]
    plan.setdefault("timeout", 5.0)
    return TestBench(BenchPlan(words=words, **plan), Files(says), watch or Watch()).run()


def broken(report: BenchReport) -> set[str]:
    return set(report.broken)


def test_who_behaves_is_timed() -> None:
    """All requests are answered and timed, and no rule is broken."""
    watch = Watch()
    report = bench("ok.sh", watch=watch, count=50, concurrency=5)

    assert (set(), 50, 50, 4, 1, 0, "") == (
        broken(report),
        len(report.latencies),
        report.verdicts["OK"],
        report.version,
        report.starts,
        report.status,
        report.stopped,
    )
    assert watch.lines[:2] == [(">", b"1 INTF 4"), ("<", b"1 INTF 4")]
    assert list(range(50)) == sorted(index for index, _ in watch.answers)


GREET = 'read -r n v a; echo "$n INTF 4"; '
LOOP = 'while read -r n v a; do case $v in QUIT) echo "$n OK"; exit;; *) %s;; esac; done'


@pytest.mark.parametrize(
    ("program", "says", "rules"),
    [
        ("say.sh", "%N ok\r\n", {"capitals", "line-feed"}),
        ("say.sh", "* hello\n%N FILE Queue/1.msg\nno number\n", {"verdict", "number"}),
        ("say.sh", "%N OK\n%N OK\n77777 OK\n", {"once", "unasked"}),
        (GREET + LOOP % 'echo changed >> "$a"; echo "$n OK"', "text", {"queue-file"}),
        (GREET + LOOP % '[ -e once ] || { : > once; kill -9 $$; }; echo "$n OK"', "text", {"stays"}),
        (GREET + LOOP % "echo gone >&2; exit 3", "text", {"stays"}),
        ("mute.sh", "", {"time-out", "quit"}),
        ("silent.sh", "", {"intf"}),
        ("deaf.sh", "", {"pipes"}),
        ("flood.sh", "", {"stderr"}),
        ("parent.sh", "", {"quit"}),
        ("stubborn.sh", "", {"time-out", "quit", "ends"}),
        (GREET + LOOP.replace("; exit", '; echo "$n OK"') % 'echo "$n OK"', "", {"once"}),
        (GREET + LOOP.replace("exit", "exit 4") % 'echo "$n OK"', "", {"status"}),
        (GREET + LOOP.replace("exit", "trap '' TERM; while :; do sleep 1; done") % 'echo "$n OK"', "", {"ends"}),
        (GREET + LOOP.replace('"$n OK"; exit', "gone; exit") % 'echo "$n OK"', "", {"number", "quit"}),
    ],
)
def test_each_that_strays_is_told(program: str, says: str, rules: set[str]) -> None:
    """What a helper does amiss is told under the rules it breaks."""
    assert rules == broken(bench(program, says, count=3, concurrency=3, timeout=2.0))


def test_who_forgets_to_flush_is_told_so() -> None:
    """Answers that come only when the input ends are no time-outs, but a missing flush."""
    report = bench("exec perl -ne 'print \"$1 OK\\n\" if /(\\d+)/'", count=2, timeout=2.0)

    assert "flush" in broken(report)
    assert report.stopped == "it does not flush its answers"


def test_a_planned_exit_is_no_fault() -> None:
    """A helper that leaves with status 0 after each answer is started again, and all are answered."""
    report = bench("once.sh", count=5, concurrency=1)

    assert ({"quit"}, 5) == (broken(report) | {"quit"}, report.verdicts["OK"])
    assert report.starts >= 5


def test_who_dies_at_once_is_given_up() -> None:
    """A helper that never answers anything is started a few times, then the run ends with its last words."""
    report = bench("echo no licence >&2; exit 2")

    assert "exit status 2" in report.stopped
    assert b"no licence" in report.last_words
    assert report.starts == 3


def test_chaos_finds_who_reads_one_line_a_wake_up() -> None:
    """A helper that stalls when two lines stand in its pipe breaks the rule of bursts, and only with chaos."""
    assert set() == broken(bench("poller.py", count=3, timeout=2.0)) - {"quit"}
    assert "burst" in broken(bench("poller.py", count=3, timeout=2.0, chaos=True))


def test_chaos_finds_who_answers_after_quit() -> None:
    """What is open when QUIT comes is answered before it."""
    slow = GREET + 'while read -r n v a; do case $v in QUIT) echo "$n OK"; wait; exit;; *) (sleep 0.1; echo "$n FAILURE") & esac; done'

    assert {"quit-last"} == broken(bench(slow, count=3, chaos=True))


def test_chaos_finds_what_is_left_unanswered() -> None:
    """KEY, unknown commands and missing files want an answer too."""
    assert {"key", "unknown", "missing"} == broken(bench("say.sh", count=3, chaos=True))


def test_a_missing_file_is_no_ok() -> None:
    """A helper that lets pass what it cannot read is told so."""
    assert {"missing"} == broken(bench("ok.sh", count=3, chaos=True))


def test_a_program_that_is_not_there() -> None:
    """It is one line that names it."""
    with pytest.raises(HelperCannotStart, match="no-such-program"):
        TestBench(BenchPlan(words=["no-such-program"]), Files(""), Watch()).run()


def test_a_plan_of_a_filter() -> None:
    """It is asked as the multiplexer would ask it: with all settings that a helper can feel."""
    said: dict[str, Any] = {
        "timeout": Seconds(7),
        "timeout_per_mb": Seconds(2),
        "max_requests": 5,
        "max_age": Seconds(60),
        "pipelining": True,
    }
    limits: dict[str, Any] = {
        "user": "nobody",
        "memory_limit": Size(1 << 30),
        "cpu_limit": Seconds(9),
        "new_privileges": True,
        "environment": ("A=b",),
    }
    plan = BenchPlan.of(Filter(name="F", program="a 'b c'", auto_restart=Seconds(math.inf), **said, **limits), 3)

    assert plan.limits == HelperLimits(1 << 30, 9.0, "nobody", True, (f"ENQUEUER_BASE={os.getcwd()}", "ENQUEUER_FILTER=F", "A=b"))
    assert (plan.words, plan.count, plan.concurrency, plan.timeout, plan.timeout_per_mb) == (["a", "b c"], 3, 1, 7, 2)
    assert (plan.max_requests, plan.max_age, plan.pipelining, plan.restarts) == (5, 60, True, False)


def test_a_process_that_has_had_its_share_is_replaced() -> None:
    """By max_requests as by max_age, with QUIT, and that is no fault."""
    by_count = bench("ok.sh", count=10, max_requests=4)
    by_age = bench("ok.sh", count=3, concurrency=1, max_age=0.0001)

    assert (by_count.starts, by_count.verdicts["OK"], broken(by_count), by_count.stopped) == (3, 10, set(), "")
    assert (by_age.starts > 1, by_age.verdicts["OK"], broken(by_age)) == (True, 3, set())


def test_who_may_not_be_started_again() -> None:
    """Ends the run, with the reason."""
    report = bench('read -r n rest; echo "$n INTF 4"; read -r n rest; exit 3', count=3, restarts=False)

    assert (report.starts, report.stopped.endswith('and auto_restart = "never"')) == (1, True)


def test_large_messages_may_take_longer() -> None:
    """The time-out counts for a message of no size."""
    cases = 'INTF) echo "$n INTF 4" ;; FILE) sleep 0.5; echo "$n OK" ;; *) echo "$n OK"; exit ;;'
    slow = f"while read -r n verb rest; do case $verb in {cases} esac; done"
    says = "x" * (1 << 20)

    assert bench(slow, says, count=1, concurrency=1, timeout=0.3, timeout_per_mb=5).verdicts["OK"] == 1
    assert bench(slow, says, count=1, concurrency=1, timeout=0.3).stopped
