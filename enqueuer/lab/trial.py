"""Run an engine on trial: a process of its own on a base directory of its own, driven as an administrator would.

The demo, the benchmarks and the tests share it. It looks at the engine from outside only.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self, TypeVar

from enqueuer import basedir
from enqueuer.control import client
from enqueuer.log.reading import ALL, LogFolder

__all__ = ["Trial", "TrialError", "signal_all", "wait"]

ENGINE: tuple[str, ...] = (sys.executable, "-P", "-m", "enqueuer.cli.app")
"""-P: nothing is imported from the current directory, which may belong to another account."""
START_PATIENCE = 20.0
STOP_PATIENCE = 30.0
"""Seconds; longer than the engine's own drain_timeout."""
POLL = 0.01
LAST_WORDS = 15
"""Lines of the engine's output, and of its log, that an error quotes."""
T = TypeVar("T")


class TrialError(Exception):
    """The engine did not do what was waited for. The text is for people, and has the engine's last words."""


def wait(condition: Callable[[], T], seconds: float, what: str) -> T:
    """Check the condition until it is true; return its value. Raises TrialError."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise TrialError(f"after {seconds:.0f} s this has not happened: {what}")
        time.sleep(POLL)
    return found


class Trial:
    """One base directory, and the engine that runs on it between start() and stop()."""

    NEW = "new"
    """Name of a new config file in Settings/ before it is renamed."""

    def __init__(self, base: Path, config: str | None = None) -> None:
        """Make the base directory; `config` replaces the default file."""
        self.base = base
        self.output = base.parent / f"{base.name}.out"
        self.process: subprocess.Popen[bytes] | None = None
        self.prefix: tuple[str, ...] = ()
        """A command that starts the engine, e.g. one that removes privileges."""
        self.arguments: tuple[str, ...] = ()
        """Options of `enqueuer run`."""
        basedir.create(base)
        if config is not None:
            self.configure(config)

    @property
    def server_log(self) -> LogFolder:
        return LogFolder(self.base / "SystemLogs")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    # ---- the engine

    def launch(self) -> "subprocess.Popen[bytes]":
        """Start the process, and do not wait. A ^C of the terminal does not reach it."""
        with self.output.open("ab") as file:
            arguments = [*self.prefix, *ENGINE, "run", "--base", str(self.base), *self.arguments]
            self.process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True)
        return self.process

    def start(self) -> None:
        """Start the engine and wait until it runs. Raises TrialError with its last words."""
        process = self.launch()
        self.wait(lambda: process.poll() is not None or self._runs(), "the engine runs", START_PATIENCE)
        if process.poll() is not None:
            raise TrialError(f"the engine ended at once, with exit code {process.returncode}\n{self.last_words()}")

    def stop(self, *, now: bool = False) -> int:
        """Stop the engine as `enqueuer stop` does; return its exit code. Raises TrialError if it does not end."""
        assert self.process is not None
        with contextlib.suppress(client.NotRunning):
            client.ask(self.base, {"command": "stop", "now": now}, STOP_PATIENCE)
        try:
            return self.process.wait(STOP_PATIENCE)
        except subprocess.TimeoutExpired:
            raise TrialError(f"the engine does not stop\n{self.last_words()}") from None

    def kill(self) -> None:
        """SIGKILL the supervisor, and reap it."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def end(self) -> None:
        """End the engine in whatever state it is."""
        if self.process is not None and self.process.poll() is None:
            with contextlib.suppress(TrialError):
                self.stop(now=True)
            if self.process.poll() is None:
                self.kill()

    def status(self) -> dict[str, Any]:
        """Return the status document. Raises NotRunning."""
        return client.ask(self.base, {"command": "status"})

    def pids(self, title: str) -> list[int]:
        """Return process ids of this engine by the title that ps shows, e.g. "processor 3", "helper"."""
        assert self.process is not None
        return [pid for pid, shown in _tree(self.process.pid) if shown.startswith(f"enqueuer: {title}")]

    def processes(self) -> list[int]:
        """Return the process ids of the supervisor and of all processes below it, helpers included."""
        assert self.process is not None
        return [pid for pid, _ in _tree(self.process.pid)]

    def last_words(self) -> str:
        output = self.output.read_text(errors="backslashreplace").splitlines() if self.output.exists() else []
        return "\n".join([*output[-LAST_WORDS:], *(entry.line for entry in self.server_log.last(ALL, LAST_WORDS))])

    # ---- messages and settings

    def drop(self, name: str, data: bytes) -> None:
        """Submit a message as programs do: written under another name, then renamed."""
        temporary = self.base / "Submitted" / f"{name}.tmp"
        temporary.write_bytes(data)
        temporary.rename(temporary.with_name(f"{name}.eml"))

    def outbound(self, module: str = "OUT") -> list[Path]:
        return [path for path in (self.base / "Outbound" / module).iterdir() if path.suffix == ".msg"]

    def configure(self, text: str) -> None:
        """Replace the config file as an editor does: written beside it, then renamed."""
        new = self.base / "Settings" / self.NEW
        new.unlink(missing_ok=True)
        new.touch(0o600, exist_ok=False)  # whatever the umask, and not wider than any file whose copy it is
        new.write_text(text)
        new.rename(self.base / basedir.CONFIG)

    def log(self) -> str:
        """Return the whole Server Log, in the text format."""
        return "".join(f"{entry.line}\n" for entry in self.server_log.entries())

    def wait(self, condition: Callable[[], T], what: str, seconds: float = 20.0) -> T:
        """Wait for a condition of the engine. Raises TrialError with its last words."""
        try:
            return wait(condition, seconds, what)
        except TrialError as error:
            raise TrialError(f"{error}\n{self.last_words()}") from None

    def _runs(self) -> bool:
        with contextlib.suppress(client.NotRunning):
            status = self.status()
            return bool(status["state"] == "running" and (self.pids("door") or "doors" not in status))  # older engines have none
        return False


def _tree(pid: int) -> Iterator[tuple[int, str]]:
    """Yield a process and all below it: (pid, title)."""
    with contextlib.suppress(OSError):
        title = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace").strip()
        yield pid, title
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            yield from _tree(int(child))


def signal_all(pids: list[int], number: int = signal.SIGKILL) -> None:
    """Send a signal to each process that still runs."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
