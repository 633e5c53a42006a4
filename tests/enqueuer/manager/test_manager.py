"""Demands on the order of work: lanes, side by side, and a filter that is away stops only its own mail."""

import os
import re
import signal
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from enqueuer.lab.trial import Trial, signal_all, wait
from tests.helpers.trace import bare

Make = Callable[..., bytes]
Config = Callable[..., str]
Trials = Callable[[str], Trial]
TEN_LINES = """#!/bin/sh
# a helper of ten lines: one second a message, out of order
while read -r number verb rest; do
  case $verb in
    INTF) echo "$number INTF 4" ;;
    QUIT) echo "$number OK"; exit 0 ;;
    FILE) { sleep 1.$((9 - number % 10)); echo "$number OK"; } & ;;
    *) echo "$number FAILURE" ;;
  esac
done
"""


def _seconds(trial: Trial, count: int, drop: Callable[[], object]) -> float:
    """How long it takes until `count` more messages are in Outbound."""
    before = len(trial.outbound())
    began = time.monotonic()
    drop()
    trial.wait(lambda: len(trial.outbound()) >= before + count, f"{count} more are enqueued", 60)
    return time.monotonic() - began


def _drop_all(trial: Trial, mail: Make, tag: str, count: int, judge: str = "") -> None:
    for n in range(count):
        trial.drop(f"{tag}{n}", mail(f"{tag}{n}", judge))


@pytest.mark.alone
def test_a_handwritten_helper_works_side_by_side(trials: Trials, config: Config, mail: Make, tmp_path: Path) -> None:
    """Ten lines of sh, `sleep 1` a message, replies out of order: 8 processors finish 8 messages in about 1 s, not 8."""
    (tmp_path / "helper.sh").write_text(TEN_LINES.replace("1.$((9 - number % 10))", "1"))
    with trials(config(processors=8, judge=f"sh {tmp_path / 'helper.sh'}")) as trial:
        took = _seconds(trial, 8, lambda: _drop_all(trial, mail, "", 8))

    assert 1.0 <= took < 2.5


def test_replies_in_any_order_find_their_messages(trials: Trials, config: Config, mail: Make, tmp_path: Path) -> None:
    (tmp_path / "helper.sh").write_text(TEN_LINES)
    with trials(config(processors=8, judge=f"sh {tmp_path / 'helper.sh'}")) as trial:
        _seconds(trial, 8, lambda: _drop_all(trial, mail, "", 8))

        texts = sorted(bare(path.read_bytes().partition(b"\n\n")[2]) for path in trial.outbound())
    assert texts == sorted(mail(str(n)) for n in range(8))


@pytest.mark.alone
def test_small_messages_do_not_wait_for_large_ones(trials: Trials, config: Config, mail: Make) -> None:
    """Beside eight large scans of 30 s on 4 processors, small ones take what they take alone; a burst, little more."""
    with trials(config(processors=4)) as trial:

        def one(n: int) -> float:
            return _seconds(trial, 1, lambda: trial.drop(f"s{n}", mail(f"s{n}", "0.1 OK")))

        def burst(tag: str) -> float:
            return _seconds(trial, 100, lambda: _drop_all(trial, mail, tag, 100, "0.1 OK"))

        alone = [one(n) for n in range(9)]
        burst_alone = burst("a")
        for n in range(8):
            trial.drop(f"large{n}", mail(f"large{n}", "30 OK", size=2 << 20))
        trial.wait(lambda: trial.status()["lanes"]["large"]["active"] == 2, "two large ones are scanned")
        beside = [one(100 + n) for n in range(9)]
        burst_beside = burst("b")
        lanes = trial.status()["lanes"]

    assert statistics.median(beside) < 1.5 * statistics.median(alone)
    assert burst_beside < 2.5 * burst_alone
    assert lanes["large"]["active"] <= lanes["large"]["limit"] == 2


MISSING = """
[[filters]]
name = "Missing"
program = "/nowhere/scanner"
timeout = "{timeout}"
[[rules]]
name = "large ones"
priority = 9
conditions = [["Message Size", "greater than", "10K"]]
actions = [["ExternalFilter", "Missing"]]
"""


@pytest.mark.parametrize(("timeout", "waits"), [("2m", "parked"), ("1s", "deferred")])
def test_a_filter_that_cannot_start_holds_only_its_own_mail(trials: Trials, config: Config, mail: Make, timeout: str, waits: str) -> None:
    """Its mail waits, uncharged; the other filter's flows past it, and status says what is wrong."""
    with trials(config(processors=2, more=MISSING.format(timeout=timeout)).replace('retry_after = "1s"', "")) as trial:
        for n in range(10):
            trial.drop(f"large{n}", mail(f"large{n}", size=20_000))
        took = _seconds(trial, 50, lambda: _drop_all(trial, mail, "", 50, "0.02 OK"))
        trial.wait(lambda: trial.status()["queue"][waits] == 10, f"the others are {waits}")
        missing = next(each for each in trial.status()["filters"] if each["name"] == "Missing")

    assert took < 5
    assert missing["state"] == "failed"
    assert "/nowhere/scanner" in missing["last_error"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", missing["last_error_at"])


def test_held_mail_goes_on_when_its_filter_is_there(trials: Trials, config: Config, mail: Make, tmp_path: Path) -> None:
    """A program that appears later is started, and what waited for it is judged."""
    program = tmp_path / "helper.sh"
    with trials(config(judge=f"sh {program}", filter='timeout = "1s"')) as trial:
        trial.drop("a", mail("a"))
        trial.wait(lambda: trial.status()["queue"]["deferred"] == 1, "it is deferred")
        program.write_text(TEN_LINES.replace("sleep 1.$((9 - number % 10)); ", ""))
        trial.wait(lambda: len(trial.outbound()) == 1, "it is enqueued", 40)


@pytest.mark.parametrize(
    ("policy", "total"), [("defer", None), ("pass", "enqueued"), ("quarantine", "quarantined"), ("reject", "rejected")]
)
def test_what_follows_from_a_time_out(trials: Trials, config: Config, mail: Make, policy: str, total: str | None) -> None:
    """on_failure says it, and it says the same in the totals and in the log."""
    filter = f'timeout = "500ms"\non_failure = "{policy}"'
    with trials(config(filter=filter).replace('retry_after = "1s"', "")) as trial:
        trial.drop("slow", mail("slow", "60 OK"))
        trial.drop("quick", mail("quick", "0 OK"))
        if total is None:
            trial.wait(lambda: trial.status()["queue"]["deferred"] == 1, "it is deferred")
        else:
            trial.wait(lambda: trial.status()["totals"][total] == 1 + (total == "enqueued"), f"it is {total}")
        trial.wait(lambda: trial.status()["totals"]["enqueued"] >= 1, "the other is enqueued")

    assert f"{total or 'deferred'}: " in trial.log()


@pytest.mark.parametrize(
    ("answer", "settings", "passes"),
    [
        (b" \\x1b[31mWHAT?", "", False),
        (b" \\x1b[31mWHAT?", 'on_failure = "pass"', True),
        (b" FAILURE", "", True),
        (b" FILE Queue/1.msg", "", True),
        (b" FAILURE", "failure_passes = false", False),
    ],
)
def test_no_answer_of_the_protocol_is_a_fault_of_the_filter(
    trials: Trials, config: Config, mail: Make, tmp_path: Path, answer: bytes, settings: str, passes: bool
) -> None:
    """`on_failure` says what follows. Only FAILURE, and an echo of the request, let mail pass by themselves."""
    answers = "(b' INTF 4' if b'INTF' in line else b'" + answer.decode() + "')"
    (tmp_path / "garbage.py").write_text(
        "import os, sys\n"
        "for line in sys.stdin.buffer:\n"
        f"    os.write(1, b'\\xff\\x00 garbage\\n\\n999 OK\\n' + line.split()[0] + {answers} + b'\\n')\n"
    )
    with trials(config(judge=f"{sys.executable} {tmp_path / 'garbage.py'}", filter=settings)) as trial:
        for n in range(5):
            trial.drop(str(n), mail(str(n)))
        if passes:
            trial.wait(lambda: len(trial.outbound()) == 5, "all pass")
        else:
            trial.wait(lambda: trial.status()["queue"]["deferred"] == 5, "all of them wait")
            assert not trial.outbound()

    assert "\x1b" not in trial.log()


def test_a_pause_longer_than_the_time_out_is_no_time_out(trials: Trials, config: Config, mail: Make) -> None:
    """A paused container: engine and helpers stand still together, and go on where they were."""
    with trials(config(filter='timeout = "1s"').replace('retry_after = "1s"', "")) as trial:
        trial.drop("first", mail("first"))
        trial.wait(trial.outbound, "the filter works")
        for n in range(20):
            trial.drop(f"slow{n}", mail(f"slow{n}", "0.5 OK"))
        trial.wait(lambda: trial.status()["filters"][0]["in_flight"] >= 4, "messages are scanned")
        everybody = trial.processes()
        signal_all(everybody, signal.SIGSTOP)
        until = time.monotonic() + 2.5
        wait(lambda: time.monotonic() > until, 5, "time passes")
        signal_all(everybody, signal.SIGCONT)
        trial.wait(lambda: len(trial.outbound()) == 21, "all are enqueued")
        assert trial.status()["filters"][0]["restarts"] == 0

    assert "no answer within" not in trial.log()


def test_a_disabled_filter_passes(trials: Trials, config: Config, mail: Make) -> None:
    with trials(config(filter="enabled = false", judge="/nowhere")) as trial:
        trial.drop("a", mail("a"))
        trial.wait(lambda: len(trial.outbound()) == 1, "it is enqueued")
        assert trial.status()["filters"][0]["state"] == "disabled"


def test_queue_limit_leaves_drops_where_they_are(trials: Trials, config: Config, mail: Make) -> None:
    with trials(config(processors=1, engine="queue_limit = 3")) as trial:
        for n in range(8):
            trial.drop(str(n), mail(str(n), "0.3 OK"))
        trial.wait(lambda: trial.status()["spool"]["waiting"] >= 4, "most stay in the drop folder")
        assert len(os.listdir(trial.base / "Submitted/.taken")) <= 3
        trial.wait(lambda: len(trial.outbound()) == 8, "it goes on by itself")

    assert trial.log().count("queue_limit = 3") == 1
