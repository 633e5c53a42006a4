"""Lists that rules write: State/lists/NAME.txt, and who got a reply or a report lately. Several processes write them.

A line is `<seconds since 1970> <address>`. A writer holds a lock on the folder for a moment. A list has at most MOST addresses, each for
KEPT seconds after it was last added; the oldest go first. A file that cannot be read counts as empty, and is written again. So nothing
here can stop mail; a lost list is only a lost convenience.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from enqueuer.policy.pictures import LIST_NAME, fold
from enqueuer.queue.message.headerlines import text_of
from enqueuer.system.openfile import open_plain

__all__ = ["FOLDER", "KEPT", "MOST", "RememberedLists"]

FOLDER = "State/lists"
MOST = 20_000
KEPT = 90 * 86400.0
MAX_BYTES = 8 << 20
MAX_ADDRESS = 320
AGAIN = 86400.0
"""Seconds after which the time of an address is written again."""
AHEAD = 60.0
"""Seconds: a time that is further ahead is that of a wrong clock, and does not count."""


class RememberedLists:
    """The lists, as one process sees them."""

    def __init__(self, folder: str = FOLDER) -> None:
        self._folder = folder
        self._known: dict[str, tuple[tuple[int, int, int], dict[str, float]]] = {}

    def read(self, name: str) -> dict[str, float]:
        """Return the folded addresses of a list, with the time when each was added last."""
        try:
            status = os.stat(self._path(name))
        except OSError:
            return {}
        state = status.st_mtime_ns, status.st_size, status.st_ino
        known = self._known.get(name)
        if known is None or known[0] != state:
            known = self._known[name] = state, self._load(name)
        return known[1]

    def add(self, name: str, address: bytes, now: float, within: float = AGAIN) -> bool:
        """Add an address. Return False if it was added less than `within` seconds ago. Raises OSError."""
        key = fold(text_of(address[:MAX_ADDRESS]))
        if not key or any(not char.isprintable() for char in key):
            return False
        with self._locked():
            found = self.read(name)
            if -AHEAD < now - found.get(key, 0.0) < within:
                return False
            found = {each: at for each, at in found.items() if at > now - KEPT and each != key}
            found[key] = now
            if len(found) > MOST:
                found = dict(sorted(found.items(), key=lambda item: item[1])[-MOST:])
            self._store(name, found)
        return True

    def _path(self, name: str) -> str:
        if not LIST_NAME.fullmatch(name):
            raise ValueError(f"{name!r} is not the name of a list")
        return f"{self._folder}/{name}.txt"

    def _load(self, name: str) -> dict[str, float]:
        found = dict[str, float]()
        try:
            with open_plain(Path(self._path(name))) as file:
                data = file.read(MAX_BYTES)
        except OSError:
            return found
        for line in data.decode("utf-8", "replace").splitlines():
            at, _, address = line.partition(" ")
            if at.isascii() and at.isdigit() and address:
                found[fold(address)] = float(at)
        return found

    def _store(self, name: str, found: dict[str, float]) -> None:
        path = self._path(name)
        temporary = Path(f"{path}.tmp")
        temporary.unlink(missing_ok=True)  # whatever it is: a FIFO would block us
        temporary.write_text("".join(f"{at:.0f} {address}\n" for address, at in found.items()), "utf-8")
        temporary.rename(path)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the lock of the folder, which is made if it is missing. Another writer has it for milliseconds only."""
        Path(self._folder).mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)
