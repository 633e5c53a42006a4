"""The config file of a running engine: seen when it changes, taken whole or not at all, numbered by editions."""

import contextlib
import datetime
import os
from pathlib import Path

from enqueuer import config as configs
from enqueuer.child import config_file

__all__ = ["FILE", "ConfigFile"]

FILE = "Settings/enqueuer.toml"
SETTLED = 0.2
"""Seconds without a change after which a file that somebody writes in place counts as written."""

Seen = tuple[int, int, int]


class ConfigFile:
    """The file, the edition of it that is in force, and why a newer one is not. Works in the base directory."""

    def __init__(self) -> None:
        """Take the file for a start. Raises ConfigError."""
        self.edition = 0
        self.error: str | None = None
        self._seen = self._look()
        self._changing: tuple[Seen | None, float] | None = None
        self.config = configs.load(self._read(), FILE)
        self.loaded_at = _now()

    @property
    def path(self) -> str:
        return str(Path(FILE).absolute())

    def keep(self) -> None:
        """Write the first edition for the processes that are forked now. Needs the locks."""
        for old in Path("Run").glob("config.*"):
            old.unlink()
        self._store(self._raw)

    def poll(self, now: float) -> bool:
        """Whether the file has changed since it was taken or refused, and is written to its end. `now` is monotonic."""
        found = self._look()
        if found == self._seen:
            self._changing = None
            return False
        if self._changing is None or self._changing[0] != found:
            self._changing = (found, now)
            return False
        return now - self._changing[1] >= SETTLED

    def take(self) -> bool:
        """Take the file as it is now; True when an edition came of it. On False, `error` says why, or nothing differs."""
        self._seen, self._changing = self._look(), None
        try:
            raw = self._read()
            new = configs.load(raw, FILE)
            if fixed := configs.changes(self.config, new):
                raise configs.ConfigError(f"{FILE}: {', '.join(fixed)} cannot be changed while the engine runs: restart it")
        except configs.ConfigError as error:
            self.error = str(error)
            return False
        self.error = None
        self.loaded_at = _now()
        if new == self.config:
            return False
        self.config = new
        self._store(raw)
        return True

    def _store(self, raw: bytes) -> None:
        """Keep what was checked where every process reads it: the file itself may change again."""
        self.edition += 1
        Path(config_file(self.edition)).write_bytes(raw)
        with contextlib.suppress(FileNotFoundError):
            Path(config_file(self.edition - 2)).unlink()

    def _read(self) -> bytes:
        try:
            self._raw = Path(FILE).read_bytes()
        except FileNotFoundError:
            raise configs.ConfigError(f"{FILE} is gone: put it back, or have `enqueuer init` write the default one") from None
        except OSError as error:
            raise configs.ConfigError(f"{FILE}: {error.strerror}: the engine needs this file") from None
        return self._raw

    def _look(self) -> Seen | None:
        try:
            status = os.stat(FILE)
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size, status.st_ino


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
