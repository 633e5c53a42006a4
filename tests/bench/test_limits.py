"""Demands on the yardsticks: what the bare loop publishes is what was dropped, once, in every mode."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.harness import lay, rate
from bench.mail import message
from tests.helpers.paths import ROOT

SIZE = 3000


def bare(base: Path, *options: str) -> dict[str, float]:
    words = [sys.executable, "-m", "bench.limits.bare", "--processors=3", "--messages=40", f"--base={base}", *options]
    answer: dict[str, float] = json.loads(subprocess.run(words, cwd=ROOT, check=True, capture_output=True, timeout=60).stdout)
    return answer


def outbound(base: Path) -> Iterator[tuple[bytes, bytes]]:
    """Of each message the envelope, and the message."""
    for path in (base / "Outbound/OUT").iterdir():
        envelope, _, rest = path.read_bytes().partition(b"\n\n")
        yield envelope, rest


@pytest.mark.parametrize("durability", ["group", "each", "off"])
@pytest.mark.parametrize(("links", "added"), [((), b"X-Verdict: OK\n"), (("--links",), b"")])
def test_the_bare_loop_publishes_each_message_once(tmp_path: Path, durability: str, links: tuple[str, ...], added: bytes) -> None:
    """Every message is in Outbound with an envelope, changed or not as asked for, and nothing is left anywhere else."""
    data = message(SIZE)
    lay(tmp_path / "Submitted", 40, data)
    figures = bare(tmp_path, f"--durability={durability}", *links)

    assert [added + data] * 40 == [rest for _, rest in outbound(tmp_path)]
    assert {b"P I <ann@example.com>"} == {envelope.splitlines()[0] for envelope, _ in outbound(tmp_path)}
    assert [path for path in tmp_path.rglob("*") if path.is_file() and "Outbound" not in path.parts] == []
    assert figures["msgs_per_s"] > 0


def test_the_rate_is_that_of_the_files_times() -> None:
    """100 a second, after a slow start, are 100 a second."""
    assert rate([0.0, 5.0, *(6 + n / 100 for n in range(18))]) == pytest.approx(100)
