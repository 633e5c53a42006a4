"""What the benchmarks share: an engine, a pile of messages, and the time at which each of them reached Outbound.

Nothing here may cost the engine under test more than an occasional look at `status`. The pauses between looks follow the
rate, and times are read from the files afterwards (publishing is a rename, which sets a file's ctime).
"""

import contextlib
import os
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench.mail import message
from enqueuer.lab.trial import Trial

__all__ = ["CONFIG", "Pile", "config", "engine", "folder", "helper", "lay", "message", "published", "rate", "until"]

CONFIG = """
rules = [{rules}]
[enqueuer]
processors = {processors}
log_level = "{log_level}"
trace_field = {trace}
[spool]
durability = "{durability}"
[[filters]]
name = "F"
program = "{program}"
instances = {instances}
max_in_flight = {slots}
pipelining = true
[[routes]]
recipient = "*"
to = "OUT"
"""
HELPER = Path(__file__).with_name("helper.py")
PATIENCE = 120.0
LOOKS = (0.005, 0.05)
"""The least and the most seconds between two looks at `status`."""


def helper(kind: str) -> str:
    """Return the command of the measuring helper: noop, sleep:MS, busy:MS."""
    return f"{shlex.quote(sys.executable)} {shlex.quote(str(HELPER))} {kind}"


def config(
    processors: int = 4,
    program: str | None = None,
    *,
    slots: int = 160,
    instances: int = 1,
    rules: str = "",
    durability: str = "group",
    log_level: str = "problems",
    trace: bool = False,
) -> str:
    """Return a configuration with one filter; `program` None: no rule names it. `rules` come before the one that does.

    `trace`: outputs get the trace field, which makes each of them a copy. The published results are those without it.
    """
    scan = '{name = "scan", actions = [["ExternalFilter", "F"]]},' if program else ""
    return CONFIG.format(
        processors=processors,
        program=program or "true",
        slots=slots,
        instances=instances,
        rules=rules + scan,
        durability=durability,
        log_level=log_level,
        trace=str(trace).lower(),
    )


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """Yield a new folder under $TMPDIR, which decides the filesystem."""
    path = Path(tempfile.mkdtemp(prefix="enqueuer-bench-"))
    try:
        yield path
    finally:
        shutil.rmtree(path)
        os.sync()  # writes of other programs must not fall into the next measurement


@contextlib.contextmanager
def engine(text: str) -> Iterator[Trial]:
    """Yield a running engine with this configuration; its filter is ready if a rule names it."""
    with folder() as path, Trial(path / "base", text) as trial:
        if '["ExternalFilter", "F"]' in text:
            trial.wait(lambda: trial.status()["filters"][0]["state"] == "ready", "the helper is ready")
        yield trial


def lay(where: Path, count: int, data: bytes) -> None:
    """Write a pile of messages under names that the engine does not take yet, and sync them."""
    where.mkdir(exist_ok=True)
    for n in range(count):
        (where / f"{n:07}.eml").write_bytes(data)
    os.sync()


class Pile:
    """Messages that are dropped together; `run` is timed."""

    def __init__(self, trial: Trial, count: int, data: bytes) -> None:
        self._trial = trial
        self._count = count
        self._before = trial.status()["totals"]["enqueued"]
        lay(trial.base / "ready", count, data)

    def run(self) -> None:
        """Drop all messages, and wait until all are in Outbound."""
        for n in range(self._count):
            os.rename(self._trial.base / f"ready/{n:07}.eml", self._trial.base / f"Submitted/{self._before}-{n:07}.eml")
        until(self._trial, self._before + self._count)


def until(trial: Trial, enqueued: int) -> None:
    """Wait until the engine has enqueued this many. Raises TimeoutError with its last words."""
    begun = time.monotonic()
    first = trial.status()["totals"]["enqueued"]
    while (done := trial.status()["totals"]["enqueued"]) < enqueued:
        now = time.monotonic()
        if now - begun > PATIENCE:
            raise TimeoutError(f"{done} of {enqueued} messages were enqueued within {PATIENCE:.0f} s\n{trial.last_words()}")
        speed = (done - first) / (now - begun)
        time.sleep(min(max((enqueued - done) / speed / 2 if speed else 0.02, LOOKS[0]), LOOKS[1]))


def published(base: Path) -> list[float]:
    """Return when each message reached Outbound, in seconds since 1970, sorted."""
    with os.scandir(base / "Outbound/OUT") as entries:
        return sorted(entry.stat().st_ctime_ns / 1e9 for entry in entries if entry.name.endswith(".msg"))


def rate(times: list[float], skip: float = 0.1) -> float:
    """Return messages/s from these times, without the first part of them, during which all processes warm up."""
    first = int(len(times) * skip)
    return (len(times) - 1 - first) / (times[-1] - times[first])
