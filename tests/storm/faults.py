"""Cause real faults in one running process: strace makes its system calls fail, without a change of the program."""

import re
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Self

import pytest

from enqueuer.lab.trial import wait

__all__ = ["STRACE", "Fault", "traced"]

STRACE = shutil.which("strace")


class Fault:
    """In the block `call` fails with `error` in the process `pid`, not in its children. `when` is strace's: "1", "3", "1+", "1..5"."""

    def __init__(self, pid: int, call: str, error: str, when: str, folder: Path, path: str = "") -> None:
        """Prepare a fault. `path`: only the calls on this path fail."""
        if STRACE is None:
            pytest.skip("strace is not installed")
        self._output = folder / "strace.out"
        self._since = time.monotonic()
        only = ["-P", path] if path else []
        inject = f"inject={call}:error={error}:when={when}"
        self._command = [STRACE, "-qq", "-p", str(pid), "-o", str(self._output), *only, "-e", f"trace={call}", "-e", inject]

    def __enter__(self) -> Self:
        self._output.unlink(missing_ok=True)
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        pid = self._command[self._command.index("-p") + 1]
        wait(lambda: self._process.poll() is not None or traced(pid), 10, "strace is attached")
        if self._process.poll() is not None:
            assert self._process.stderr is not None
            pytest.skip(f"strace may not attach here: {self._process.stderr.read()!r}")
        self._since = time.monotonic()
        return self

    def quiet(self, seconds: float) -> bool:
        """Return whether strace has been attached for this many seconds."""
        return time.monotonic() - self._since >= seconds

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGINT)
        self._process.communicate(timeout=10)

    @property
    def hits(self) -> int:
        """Return how many calls this fault has made fail."""
        return len(re.findall(r"\(INJECTED\)", self._output.read_text())) if self._output.exists() else 0


def traced(pid: str) -> bool:
    """Return whether a tracer is attached to the process."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    return not re.search(r"^TracerPid:\t0$", text, re.MULTILINE)
