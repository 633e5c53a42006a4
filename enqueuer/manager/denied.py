"""Drops that the engine could not take because their folder or the disk refused, and when each is tried again. It touches no file."""

from array import array

import msgspec

from enqueuer.queue.directory.intake import Candidate

__all__ = ["FIRST_PAUSE", "MAX_DENIED", "MAX_PAUSE", "Denied"]

FIRST_PAUSE = 0.5
MAX_PAUSE = 60.0
"""A drop that cannot be taken (a sticky folder of another user) is tried after 0.5 s, 1 s and so on, up to a minute."""
MAX_DENIED = 20_000
"""Drops that have a pause of their own, about 300 bytes each. All others share the longest pause."""
MAX_CROWD = 1 << 18
"""Marks of those others, 8 bytes each. If two drops get the same slot, one of them is tried more often."""


class DeniedDrop(msgspec.Struct):
    """A drop that could not be taken."""

    changed: int
    """The time of its last change. A drop that was changed since then is tried at once."""
    until: float
    pause: float
    seen: float
    """When a listing last had it."""
    why: str


class Denied:
    def __init__(self) -> None:
        self._failures: dict[bytes, DeniedDrop] = {}
        self._crowd = array("Q")
        self._until = 0.0
        """Marks of drops for which there was no room, and the time until which these are not tried. A drop without a mark is tried."""

    def __len__(self) -> int:
        return len(self._failures)

    def note(self, candidate: Candidate, now: float, why: str = "") -> None:
        """Note that a drop could not be taken, and why: its pause doubles, unless the drop has changed since."""
        known = self._failures.get(candidate.name)
        if known is None and len(self._failures) >= MAX_DENIED:
            self._join(candidate, now)
            return
        pause = min(known.pause * 2, MAX_PAUSE) if known and known.changed == candidate.changed else FIRST_PAUSE
        self._failures[candidate.name] = DeniedDrop(candidate.changed, now + pause, pause, now, why)

    def reasons(self) -> dict[str, tuple[int, bytes]]:
        """Return why drops could not be taken: for each reason how many there are, and the name of one."""
        found: dict[str, tuple[int, bytes]] = {}
        for name, failure in self._failures.items():
            found[failure.why] = found.get(failure.why, (0, b""))[0] + 1, name
        return found

    def bars(self, candidate: Candidate, now: float) -> bool:
        """Return whether a drop failed a moment ago and has not changed since."""
        failure = self._failures.get(candidate.name)
        if failure is None:
            return now < self._until and self._crowd[(mark := _mark(candidate)) % MAX_CROWD] == mark
        if failure.changed != candidate.changed:
            return False
        failure.seen = now
        return failure.until > now

    def forget_unseen_since(self, moment: float) -> None:
        """Forget drops that no listing had since then: they have gone."""
        self._failures = {name: failure for name, failure in self._failures.items() if failure.seen >= moment}

    def _join(self, candidate: Candidate, now: float) -> None:
        if now >= self._until:
            self._crowd = array("Q", bytes(8 * MAX_CROWD))
            self._until = now + MAX_PAUSE
        mark = _mark(candidate)
        self._crowd[mark % MAX_CROWD] = mark


def _mark(candidate: Candidate) -> int:
    """Return a number that no writer can foresee: Python hashes bytes with a secret of each process."""
    return hash((candidate.name, candidate.changed)) & (1 << 64) - 1
