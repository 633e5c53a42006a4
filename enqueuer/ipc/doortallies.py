"""The counts and open sessions of doors, on the scoreboard: one page a door process. Pure."""

import msgspec

__all__ = ["DoorTallies", "DoorTally", "summed"]

_COUNTS = {
    "accept": "accepted",
    "reject": "refused",
    "tempfail": "tempfailed",
    "discard": "discarded",
    "quarantine": "quarantined",
}
"""The action of a decision -> its counter."""
_SUMS = ("sessions", "asked", *_COUNTS.values(), "cancelled", "turned_away")


class DoorTally(msgspec.Struct, array_like=True):
    """The tally of one door in one door process. A new process with the same number continues the counts."""

    name: str
    sessions: int = 0
    asked: int = 0
    """Messages that were answered."""
    accepted: int = 0
    refused: int = 0
    tempfailed: int = 0
    discarded: int = 0
    quarantined: int = 0
    cancelled: int = 0
    """Messages whose client left before the answer."""
    turned_away: int = 0
    """Sessions that were refused at once: there were too many."""
    oldest: float = 0.0
    """time.monotonic() at the start of the oldest open session; 0 = none is open."""

    def count(self, action: str) -> None:
        """Count the answer to a message."""
        self.asked += 1
        name = _COUNTS[action]
        setattr(self, name, getattr(self, name) + 1)


class DoorTallies(msgspec.Struct, array_like=True):
    """The page of one door process."""

    tallies: tuple[DoorTally, ...] = ()
    last_id: int = 0
    """The last id that it gave."""
    turned: float = 0.0
    """time.monotonic() when its loop turned last; 0 = not yet."""


def summed(pages: list[DoorTallies]) -> dict[str, DoorTally]:
    """Return one tally for each door, summed over all door processes."""
    found: dict[str, DoorTally] = {}
    for each in (tally for page in pages for tally in page.tallies):
        into = found.setdefault(each.name, DoorTally(each.name))
        for name in _SUMS:
            setattr(into, name, getattr(into, name) + getattr(each, name))
        if each.oldest:
            into.oldest = min(into.oldest or each.oldest, each.oldest)
    return found
