"""Decide how long a process that ended waits for its next start, and which processes fail at each start. Pure: the time is an argument."""

import msgspec

__all__ = ["LONGEST_PAUSE", "SHORTEST_PAUSE", "Failing", "Pauses", "Throttle"]

SHORTEST_PAUSE = 0.1
LONGEST_PAUSE = 5.0
"""Seconds. A process that cannot start costs almost nothing at this rate, and a cured fault is noticed soon."""

SOON = 1.0
"""Seconds. A process that has failed within them was of no use, even if it had reported itself ready."""


class Throttle:
    """The pause before a process of one kind is started again.

    A death before the process was of use (ready, first job done) suggests a fault that its successor will have too: the
    pause doubles with each one. A single SIGKILL usually comes from an administrator and does not count. A second one in a
    row does: it may be the OOM killer.
    """

    def __init__(self) -> None:
        self._pause = 0.0
        self._killed = False
        self._until = 0.0

    def died(self, now: float, early: bool, killed: bool) -> float:
        """Note a death; return the seconds to wait before the next start."""
        forgiven = killed and not self._killed
        self._killed = killed
        if early and not forgiven:
            self._pause = min(max(SHORTEST_PAUSE, self._pause * 2), LONGEST_PAUSE)
            self._until = max(self._until, now + self._pause)
        return max(0.0, self._until - now)

    def worked(self) -> None:
        """Note that a process was of use: the next death counts as the first."""
        self._pause = 0.0
        self._killed = False
        self._until = 0.0


class Failing(msgspec.Struct, frozen=True):
    """A role whose processes end before they are of use."""

    process: str
    """Its title."""
    times: int
    """Deaths in a row."""
    last: str
    """How the last one ended."""


class Pauses:
    """The throttle of each role, and the time until which the role pauses."""

    def __init__(self) -> None:
        self._throttles: dict[str, Throttle] = {}
        self._until: dict[str, float] = {}
        self._failing: dict[str, tuple[float, Failing]] = {}

    def died(self, role: str, now: float, lived: float, *, useful: bool, killed: bool, title: str = "", how: str = "") -> float:
        """Note a death; return the seconds to wait before the next start. failing() reports `title` and `how`.

        `useful`: it had reported that it works. A process that failed right after that report counts as not useful: its work is what it
        failed over.
        """
        throttle = self._throttles.setdefault(role, Throttle())
        if lived > LONGEST_PAUSE * 2:
            throttle.worked()
        early = not useful or (lived < SOON and not killed)
        pause = throttle.died(now, early=early, killed=killed)
        if early and title:
            _, before = self._failing.get(role, (0.0, Failing(title, 0, "")))
            self._failing[role] = now, Failing(title, before.times + 1, how)
        else:
            self._failing.pop(role, None)
        self._until[role] = now + pause
        return pause

    def failing(self, now: float) -> list[Failing]:
        """Return the roles whose processes ended at least twice in a row before they were of use, most recently a moment ago."""
        recent = 2 * LONGEST_PAUSE
        return [each for when, each in self._failing.values() if each.times > 1 and now - when < recent]

    def left(self, role: str, now: float) -> float:
        """Return the seconds until a process of this role may start."""
        return max(0.0, self._until.get(role, now) - now)
