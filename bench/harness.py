"""What the benchmarks share: an engine, a pile of messages, and the time until the last of them is in Outbound."""

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from enqueuer.trial import Trial

__all__ = ["CONFIG", "Pile", "engine", "message"]

CONFIG = """
rules = [{rules}]
[enqueuer]
processors = {processors}
[[filters]]
name = "F"
program = "{helper}"
max_in_flight = {slots}
pipelining = true
[[routes]]
recipient = "*"
to = "OUT"
"""


def message(size: int) -> bytes:
    """An ordinary message of `size` bytes."""
    head = (
        b"Return-Path: <ann@example.com>\nReceived: from a.example.com by b.example.com; Tue, 24 Nov 2026 06:40:00 +0000\n"
        b"From: Ann <ann@example.com>\nTo: Bob <bob@example.org>\nSubject: a test message\nMIME-Version: 1.0\n"
        b"Date: Tue, 24 Nov 2026 06:40:00 +0000\nMessage-ID: <1.2.3@example.com>\n\n"
    )
    line = b"The quick brown fox jumps over the lazy dog, and the lazy dog does not mind.\n"
    return (head + line * (size // len(line) + 1))[: max(size, len(head))]


@contextlib.contextmanager
def engine(processors: int, helper: str | None, slots: int = 160) -> Iterator[Trial]:
    """A running engine with one filter (None: no rule names it). $TMPDIR decides the filesystem."""
    folder = Path(tempfile.mkdtemp(prefix="enqueuer-bench-"))
    rule = '{name = "scan", actions = [["ExternalFilter", "F"]]}' if helper else ""
    try:
        with Trial(folder / "base", CONFIG.format(processors=processors, helper=helper or "true", slots=slots, rules=rule)) as trial:
            if helper:
                trial.wait(lambda: trial.status()["filters"][0]["state"] == "ready", "the helper is ready")
            yield trial
    finally:
        shutil.rmtree(folder)
        os.sync()  # nobody else's writes in the next measurement


class Pile:
    """Messages that are dropped together; `run` is what is timed."""

    def __init__(self, trial: Trial, count: int, data: bytes) -> None:
        self._trial, self._count = trial, count
        self._before = trial.status()["totals"]["enqueued"]
        folder = trial.base / "ready"
        folder.mkdir(exist_ok=True)
        for n in range(count):
            (folder / f"{n}.eml").write_bytes(data)
        os.sync()

    def run(self) -> None:
        """Drop all, wait until all are in Outbound."""
        for n in range(self._count):
            os.rename(self._trial.base / "ready" / f"{n}.eml", self._trial.base / "Submitted" / f"{self._before}-{n}.eml")
        wanted = self._before + self._count
        deadline = time.monotonic() + 120
        while self._trial.status()["totals"]["enqueued"] < wanted:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{wanted} messages were not enqueued within 120 s\n{self._trial.last_words()}")
            time.sleep(0.002)
