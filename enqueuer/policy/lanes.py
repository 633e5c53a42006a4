"""Limit how many processors large messages may take: [enqueuer.lanes] with the number of processors. Pure."""

import msgspec

__all__ = ["Lanes", "large_limit"]


class Lanes(msgspec.Struct, frozen=True):
    """How much of the processors large messages may take."""

    large_over: int
    large_share: float
    processors: int

    @property
    def limit(self) -> int:
        return large_limit(self.large_share, self.processors)


def large_limit(share: float, processors: int) -> int:
    """Return how many processors large messages may occupy: at least one, and never all, unless there is only one."""
    return min(max(1, int(processors * share)), max(1, processors - 1))
