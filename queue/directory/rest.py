"""When a drop is complete, where no lease tells: once it has not changed for long enough, by our own clock and our own looks.

The times that a file bears are its writer's, or another machine's, and are only compared for being other ones. How long is
enough depends on what was seen of that drop: longer than its writer pauses. Memory is bounded, whatever is in the folder.
"""

import os
import time

import msgspec

__all__ = ["MAX_REST", "MAX_SEEN", "PATIENCE", "PAUSES", "REST", "Rests"]

REST = 10.0
"""Seconds without change after which a file counts as complete, where no lease tells whether it is open for writing."""
PAUSES = 3
"""A file rests for this many times the longest pause that was seen between two changes of it, where that is longer than REST."""
MAX_REST = 120.0
"""Seconds that a file has to rest at most, however long its writer pauses."""
PATIENCE = 5.0
"""Seconds that a second link (`ln` + `rm` writers), an unreadable file or an empty one gets before it is refused."""
MAX_SEEN = 20_000
"""Drops whose rest or patience is measured at the same time, some 500 bytes each. The others wait until one of these is settled.

An account with fewer of them takes the place of the newest one of the account with the most.
"""


class DropSeen(msgspec.Struct):
    """What was seen of a drop that is not taken yet: how it is, since when, and how long its writer paused."""

    state: tuple[int, ...]
    """Inode, size, times; empty while it is given patience, or before the first look."""
    owner: int
    since: float
    """time.monotonic() of our first look that found it so."""
    longest: float = 0.0
    """Seconds between two changes, at most."""
    must: bool = False
    """It was changed after it had been taken: a lease is not enough."""

    @property
    def until(self) -> float:
        """When it has rested."""
        return self.since + min(max(REST, PAUSES * self.longest), MAX_REST)


class Rests:
    """What is known of drops that are not complete yet."""

    def __init__(self) -> None:
        self._seen: dict[bytes, DropSeen] = {}
        self._of: dict[int, dict[bytes, None]] = {}
        """Their names by owner, the oldest first."""

    def names(self) -> set[bytes]:
        return set(self._seen)

    def forget(self, name: bytes) -> None:
        if seen := self._seen.pop(name, None):
            theirs = self._of[seen.owner]
            del theirs[name]
            if not theirs:
                del self._of[seen.owner]

    def begin(self, name: bytes, owner: int, longest: float) -> None:
        """It has to rest, whatever a lease says; its writer is known to have paused for so long."""
        while len(self._seen) >= MAX_SEEN:
            self.forget(next(iter(self._most())))
        self._keep(name, DropSeen((), owner, time.monotonic(), longest, must=True))

    def _keep(self, name: bytes, seen: DropSeen) -> DropSeen:
        self.forget(name)
        self._seen[name] = seen
        self._of.setdefault(seen.owner, {})[name] = None
        return seen

    def _most(self) -> dict[bytes, None]:
        """The names of the owner that has the most."""
        return max(self._of.values(), key=len)

    def _room(self, owner: int) -> bool:
        """Whether one more drop of this owner is watched. One of another owner that has more gives way."""
        if len(self._seen) < MAX_SEEN:
            return True
        most = self._most()
        if len(most) <= len(self._of.get(owner, ())) + 1:
            return False
        self.forget(next(reversed(most)))
        return True

    def must(self, name: bytes) -> bool:
        """Whether it has to rest."""
        seen = self._seen.get(name)
        return seen is not None and seen.must

    def has(self, name: bytes) -> bool:
        """Whether its rest is being measured."""
        seen = self._seen.get(name)
        return seen is not None and bool(seen.state)

    def rested(self, name: bytes, status: os.stat_result) -> bool:
        """Look at it: has it not changed for long enough?"""
        seen = self._look(name, status.st_uid, (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns))
        return seen is not None and time.monotonic() >= seen.until

    def resting(self, name: bytes, size: int, changed: int) -> bool:
        """Whether it rests, and has this size and time of change since the last look."""
        seen = self._seen.get(name)
        if seen is None or not seen.state or (seen.state[1], seen.state[3]) != (size, changed):
            return False
        return time.monotonic() < seen.until

    def patient(self, name: bytes, owner: int) -> bool:
        """Whether it had PATIENCE seconds in a state that is no mail."""
        seen = self._look(name, owner, ())
        return seen is not None and time.monotonic() - seen.since >= PATIENCE

    def _look(self, name: bytes, owner: int, state: tuple[int, ...]) -> DropSeen | None:
        """What is known of the name, which is in this state now. None: no more names are watched."""
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
