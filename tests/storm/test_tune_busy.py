"""`enqueuer tune` on a busy machine: one more program computes on each core. It may recommend nothing, but no wrong count.

The figure of each run is printed, so the storm is the table of the ten runs: pytest -m storm -s tests/storm/test_tune_busy.py
"""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from enqueuer import basedir, exits
from enqueuer.config import lint, schema

SECONDS = 20
CORES = os.cpu_count() or 1


@contextlib.contextmanager
def busy_machine() -> Iterator[None]:
    """Keep all cores busy with other programs."""
    programs = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(CORES)]
    try:
        yield
    finally:
        for program in programs:
            program.kill()
            program.wait()


def tune(base: Path, seconds: int) -> "subprocess.CompletedProcess[str]":
    words = ["tune", "--base", str(base), "--seconds", str(seconds), "--json", "--apply"]
    command = [sys.executable, "-m", "enqueuer.cli.app", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60 + 10 * seconds, check=False, stdin=subprocess.DEVNULL)


def row(number: int, found: dict[str, Any], done: "subprocess.CompletedProcess[str]") -> str:
    counts = " ".join(f"{step['processors']}:{step['rate']:.0f}" for step in found["steps"])
    recommended = found["recommended"]["processors"] if found["recommended"] else "nothing"
    return f"run {number}: recommends {recommended}, exit {done.returncode}; messages/s {counts}; {' '.join(found.get('doubts', []))[:120]}"


@pytest.mark.alone
@pytest.mark.parametrize("runs", [pytest.param(1, id="short"), pytest.param(10, id="long", marks=pytest.mark.storm)])
def test_a_busy_machine_gets_no_wrong_advice(runs: int, tmp_path: Path) -> None:
    """The filter of the default config computes, so as many processors as cores are best. One step from it is half or twice of it.

    Never one processor, as the two lanes need two. If nothing is recommended, nothing is written.
    """
    basedir.create(tmp_path / "base")
    file = tmp_path / "base" / basedir.CONFIG
    before = file.read_text()
    rows = []
    for number in range(1, runs + 1):
        file.write_text(before)
        began = time.monotonic()
        with busy_machine():
            done = tune(tmp_path / "base", 8 if runs == 1 else SECONDS)
        assert done.stdout, done.stderr
        found = json.loads(done.stdout)
        rows.append(row(number, found, done) + f" ({time.monotonic() - began:.0f} s)")
        print(rows[-1])
        if found["recommended"] is None:
            assert (done.returncode, file.read_text()) == (exits.TEMPFAIL, before), "\n".join(rows)
            assert "nothing was changed: no recommendation: other programs used" in done.stderr
        else:
            assert max(2, CORES / 2) <= found["recommended"]["processors"] <= 2 * CORES, "\n".join(rows)
            assert not any("processors" in each for each in lint.warnings(schema.load(file.read_bytes())))
