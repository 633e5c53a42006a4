"""When a drop is complete, if no lease shows it: once it has not changed for long enough, by our own clock and our own looks.

The times of a file come from its writer, or from another machine. They are only compared for being different. How long is enough
depends on the pauses of that drop's writer: it must be longer than these. Memory is bounded, whatever is in the folder.
"""

import os
import time

import msgspec

__all__ = ["MAX_REST", "MAX_SEEN", "PATIENCE", "PAUSES", "REST", "Rests"]

REST = 10.0
"""Seconds without change after which a file counts as complete, if no lease shows whether it is open for writing."""
PAUSES = 3
"""A file rests for this many times the longest pause between two of its changes, if that is longer than REST."""
MAX_REST = 120.0
"""Seconds that a file must rest at most, even if its writer pauses longer."""
PATIENCE = 5.0
"""Seconds that a second link (`ln` + `rm` writers), an unreadable file or an empty one gets before it is refused."""
MAX_SEEN = 20_000
"""Drops whose rest or patience is measured at the same time, about 500 bytes each. The others wait until one of these is settled.

A drop of an account with fewer of them replaces the newest one of the account with the most.
"""


class DropSeen(msgspec.Struct):
    """What is known of a drop that is not taken yet: its state, since when it has it, and how long its writer paused."""

    state: tuple[int, ...]
    """Inode, size, times; empty during its patience, or before the first look."""
    owner: int
    since: float
    """time.monotonic() of our first look with this state."""
    longest: float = 0.0
    """Seconds between two changes, at most."""
    must: bool = False
    """It was changed after it was taken: a lease is not enough."""

    @property
    def until(self) -> float:
        """Return when it has rested long enough."""
        return self.since + min(max(REST, PAUSES * self.longest), MAX_REST)


class Rests:
    """The drops that are not complete yet."""

    def __init__(self) -> None:
        self._seen: dict[bytes, DropSeen] = {}
        self._of: dict[int, dict[bytes, None]] = {}
        """Names by owner, the oldest first."""

    def names(self) -> set[bytes]:
        return set(self._seen)

    def forget(self, name: bytes) -> None:
        if seen := self._seen.pop(name, None):
            theirs = self._of[seen.owner]
            del theirs[name]
            if not theirs:
                del self._of[seen.owner]

    def begin(self, name: bytes, owner: int, longest: float) -> None:
        """Have a drop rest, whatever a lease shows. Its writer paused for up to `longest` seconds."""
        while len(self._seen) >= MAX_SEEN:
            self.forget(next(iter(self._most())))
        self._keep(name, DropSeen((), owner, time.monotonic(), longest, must=True))

    def _keep(self, name: bytes, seen: DropSeen) -> DropSeen:
        self.forget(name)
        self._seen[name] = seen
        self._of.setdefault(seen.owner, {})[name] = None
        return seen

    def _most(self) -> dict[bytes, None]:
        """Return the names of the owner that has the most."""
        return max(self._of.values(), key=len)

    def _room(self, owner: int) -> bool:
        """Return whether one more drop of this owner is watched. One of another owner that has more gives way."""
        if len(self._seen) < MAX_SEEN:
            return True
        most = self._most()
        if len(most) <= len(self._of.get(owner, ())) + 1:
            return False
        self.forget(next(reversed(most)))
        return True

    def must(self, name: bytes) -> bool:
        """Return whether a drop must rest."""
        seen = self._seen.get(name)
        return seen is not None and seen.must

    def has(self, name: bytes) -> bool:
        """Return whether the rest of a drop is being measured."""
        seen = self._seen.get(name)
        return seen is not None and bool(seen.state)

    def rested(self, name: bytes, status: os.stat_result) -> bool:
        """Look at a drop; return whether it has not changed for long enough."""
        seen = self._look(name, status.st_uid, (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns))
        return seen is not None and time.monotonic() >= seen.until

    def resting(self, name: bytes, size: int, changed: int) -> bool:
        """Return whether a drop rests, with this size and time of change since the last look."""
        seen = self._seen.get(name)
        if seen is None or not seen.state or (seen.state[1], seen.state[3]) != (size, changed):
            return False
        return time.monotonic() < seen.until

    def patient(self, name: bytes, owner: int) -> bool:
        """Return whether a drop had PATIENCE seconds in a state that cannot be mail."""
        seen = self._look(name, owner, ())
        return seen is not None and time.monotonic() - seen.since >= PATIENCE

    def _look(self, name: bytes, owner: int, state: tuple[int, ...]) -> DropSeen | None:
        """Note the present state of a name; return what is known of it. None: no more names are watched."""
        seen = self._seen.get(name)
        now = time.monotonic()
        if seen is None or (seen.state and state and seen.state[0] != state[0]):
            if seen is None and not self._room(owner):
                return None
            seen = self._keep(name, DropSeen(state, owner, now))
        elif seen.state != state:
            seen.longest = max(seen.longest, now - seen.since)
            seen.state = state
            seen.since = now
        return seen
