"""Run the engine that is measured: in its own base directory inside the real one's Run/, under a copy of its config.

Links show filters all that the real one has. What they submit, log or store stays in the trial.
"""

import contextlib
import os
import shlex
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from enqueuer import basedir
from enqueuer.config.schema import Config, load
from enqueuer.lab.handmade import program
from enqueuer.lab.trial import Trial, TrialError
from enqueuer.system import listfiles
from enqueuer.tune.edit import edited
from filterlink.config.settings import LEVELS

__all__ = ["Rig", "Stopped", "rig", "used_filters"]

PREFIX = "tune-"
READY = 120.0
"""Seconds for the filters to become ready: virus scanners need a while to read their signatures."""
RESTARTS = 2
"""A filter that was restarted this often before it was ready will not become ready."""
POLL = 0.05
_DIES_WITH_US = "import ctypes, os, signal, sys; ctypes.CDLL(None).prctl(1, signal.SIGTERM); os.execv(sys.argv[1], sys.argv[1:])"


class Stopped(Exception):
    """The user has stopped the measurement."""


class Rig:
    """One trial engine whose processors and slots are changed again and again."""

    def __init__(self, base: Path, real: Path, stopped: "Stop") -> None:
        """Raises ConfigError, OSError."""
        self._text = basedir.read_config(real / basedir.CONFIG).decode("utf-8-sig")
        self.config: Config = load(self._text.encode(), str(real / basedir.CONFIG))
        self._programs = {each.name: shlex.join(program(each.words(), real)) for each in self.config.filters}
        self._stopped = stopped
        self._slots: Mapping[str, int] = {}
        self.trial = Trial(base, self._configured(1))
        self.trial.prefix = (sys.executable, "-P", "-c", _DIES_WITH_US)
        _link(real, base)

    @property
    def engine(self) -> int:
        """Return the supervisor's pid."""
        assert self.trial.process is not None
        return self.trial.process.pid

    def start(self, processors: int, slots: Mapping[str, int]) -> None:
        """(Re)start the engine. `slots`: max_in_flight by filter, where it differs from the configured one. Raises TrialError."""
        self.trial.end()
        self._slots = slots
        self.trial.configure(self._configured(processors))
        self.trial.start()
        self._wait(self._ready, READY, "the filters are ready")

    def resize(self, processors: int) -> None:
        """Change the number of processors. Raises TrialError."""
        self.trial.configure(self._configured(processors))

        def done() -> bool:
            found = self.status()["processors"]
            return bool(found["running"] == found["configured"] == processors and not found["leaving"])

        self._wait(done, 60.0, f"{processors} processors run")

    def status(self) -> dict[str, Any]:
        """Return the status document. Raises Stopped, and NotRunning."""
        if self._stopped():
            raise Stopped
        return self.trial.status()

    def pause(self, seconds: float) -> None:
        """Wait. Raises Stopped."""
        if self._stopped(seconds):
            raise Stopped

    def _configured(self, processors: int) -> str:
        level = self.config.enqueuer.log_level
        enough = level if LEVELS[level] <= LEVELS["major"] else "major"
        return edited(self._text, processors=processors, slots=self._slots, programs=self._programs, log_level=enough)

    def _ready(self) -> bool:
        filters = {each["name"]: each for each in self.status()["filters"]}
        for name in used_filters(self.config):
            if filters[name]["state"] == "failed" or filters[name]["restarts"] >= RESTARTS:
                raise TrialError(f'filter "{name}" does not start: {filters[name]["last_error"]}')
        return all(filters[name]["state"] == "ready" for name in used_filters(self.config))

    def _wait(self, condition: Any, seconds: float, what: str) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise TrialError(f"after {seconds:.0f} s this has not happened: {what}\n{self.trial.last_words()}")
            self.pause(POLL)


class Stop:
    """Reports whether the user wants to stop. It is asked often, sometimes with a pause. This base class never stops."""

    def __call__(self, pause: float = 0.0) -> bool:
        time.sleep(pause)
        return False


def used_filters(config: Config) -> list[str]:
    """Return the enabled filters that a rule asks."""
    asked = {words[1] for rule in config.rules if rule.priority for words in rule.actions if words[0] == "ExternalFilter"}
    return [each.name for each in config.filters if each.enabled and each.name in asked]


@contextlib.contextmanager
def rig(real: Path, stopped: Stop) -> Iterator[Rig]:
    """Enter a trial on `real`'s filesystem; remove its engine and folder afterwards. Raises OSError, ConfigError."""
    _remove_left_over(real / "Run")
    folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=real / "Run"))
    made = None
    try:
        made = Rig(folder / "base", real, stopped)
        yield made
    finally:
        if made is not None:
            made.trial.end()
        shutil.rmtree(folder, ignore_errors=True)


def _remove_left_over(run: Path) -> None:
    """Remove what a killed tune has left."""
    for folder in run.glob(f"{PREFIX}*"):
        if not Path("/proc", folder.name.split("-")[1]).exists():
            shutil.rmtree(folder, ignore_errors=True)


def _link(real: Path, base: Path) -> None:
    """Make the trial's folder look like the real one: its other files, and those beside the config file."""
    own = {name.partition("/")[0] for name in basedir.FOLDERS}
    for entry in real.iterdir():
        if entry.name not in own:
            (base / entry.name).symlink_to(entry)
    (base / listfiles.FOLDER).rmdir()
    for entry in (real / "Settings").iterdir():
        if entry.name not in (Path(basedir.CONFIG).name, Trial.NEW):
            (base / "Settings" / entry.name).symlink_to(entry)
