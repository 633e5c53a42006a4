"""Demands on the comparison: it names what became worse, and is silent about noise."""

import json
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from bench.compare import changes, main

MACHINE = {"cores": 2, "cpu": "x", "filesystem": "ext4", "python": "3.11"}
SAID = {"x": ["n", 1], "series": "", "messages": 100, "plot": [], "scale": "linear", "ideal": None, "judged": []}


def document(seconds: list[float], **said: Any) -> dict[str, Any]:
    return {
        "machine": MACHINE,
        "skipped": {},
        "benchmarks": [{"file": "f", "name": "t", "group": "g", "seconds": seconds, "said": SAID | said}],
    }


@pytest.mark.parametrize(
    ("before", "after", "counts"),
    [
        ([1.0, 1.0, 1.0], [1.05, 1.05, 1.05], False),  # under 10 %
        ([1.0, 1.0, 1.0], [1.3, 1.3, 1.3], True),
        ([0.7, 1.0, 1.3], [1.3, 1.3, 1.3], False),  # as much as its own rounds differ by
        ([1.0, 1.0, 1.0], [0.7, 0.7, 0.7], True),  # better
        ([1.0], [1.25], False),  # one round
        ([1.0], [1.5], True),
    ],
)
def test_only_what_is_beyond_the_noise_counts(before: list[float], after: list[float], counts: bool) -> None:
    """The noise is 10 %, of one round 30 %, or what the rounds of one run differ by, whichever is more."""
    [change] = changes(document(before), document(after))

    assert change.counts == counts
    assert (change.worse > 0) == (median(after) > median(before))


def test_more_milliseconds_are_worse_and_more_messages_are_not() -> None:
    """The unit says which way is better; values that are not judged are passed over."""
    then = document([1.0], messages=0, samples={"p99 ms": [1.0], "bare/s": [9.0]}, judged=["p99 ms"])
    now = document([1.0], messages=0, samples={"p99 ms": [2.0], "bare/s": [1.0]}, judged=["p99 ms"])

    assert [(each.value, each.worse) for each in changes(then, now)] == [("p99 ms", 1.0)]


def test_the_exit_code_says_whether_something_became_slower(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """1 when something is worse, with its name, both figures and the noise; 0 when nothing is."""
    base = tmp_path / "base.json"
    new = tmp_path / "new.json"
    base.write_text(json.dumps(document([1.0])))
    new.write_text(json.dumps(document([2.0])))

    assert main([str(base), str(base)]) == 0
    assert main([str(base), str(new)]) == 1
    assert "f::t: messages/s 100 -> 50, 100% worse (noise 30%)" in capsys.readouterr().out


def test_another_machine_is_warned_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Runs of different filesystems are compared, with a word on what that is worth."""
    base = tmp_path / "base.json"
    new = tmp_path / "new.json"
    base.write_text(json.dumps(document([1.0])))
    new.write_text(json.dumps(document([1.0]) | {"machine": MACHINE | {"filesystem": "xfs"}}))

    assert main([str(base), str(new)]) == 0
    assert "filesystem was ext4, is xfs" in capsys.readouterr().out


def test_a_base_that_is_not_there_is_said_without_a_traceback(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The message names the file and the cure."""
    with pytest.raises(SystemExit) as ended:
        main([str(tmp_path / "none.json")])

    assert ended.value.code == 2
    assert "make bench" in capsys.readouterr().err
