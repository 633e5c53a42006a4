"""What stops mail, from the status document."""

from datetime import UTC, datetime
from typing import Any

import pytest

from enqueuer.cli._stops import LATE, stops

NOW = datetime(2026, 11, 24, 10, 0, 12, tzinfo=UTC).timestamp()


@pytest.fixture
def document() -> dict[str, Any]:
    """A document of an engine that nothing stops."""
    one = {"name": "A", "state": "ready", "unavailable_since": None, "parked": 0, "in_flight": 0, "last_error": "old"}
    backlog = {"OUT": {"count": 3, "oldest_s": LATE - 1}}
    return {"intake": {"paused": None}, "filters": [one], "backlog": {"outbound": backlog}, "spool": {"stuck": []}}


def test_an_old_error_and_fresh_mail_stop_nothing(document: dict[str, Any]) -> None:
    assert stops(document, NOW) == []


@pytest.mark.parametrize(
    ("paused", "do"),
    [
        ("queue_limit = 1 messages reached", "raise enqueuer.queue_limit"),
        ("the drop folder cannot be read: Permission denied", "the right to read"),
        ("less than min_free = 2% of the disk's bytes are free", "spool.min_free"),
    ],
)
def test_the_cure_fits_the_pause(document: dict[str, Any], paused: str, do: str) -> None:
    [found] = stops(document | {"intake": {"paused": paused}}, NOW)
    assert found["what"] == f"No new mail is taken: {paused}"
    assert do in found["do"]


def test_all_stops_are_named(document: dict[str, Any]) -> None:
    document["filters"][0] |= {"state": "failed", "unavailable_since": "2026-11-24T10:00:00Z", "parked": 2, "in_flight": 1}
    document["filters"].append(document["filters"][0] | {"name": "B", "state": "stalled", "parked": 0})
    document["backlog"]["outbound"]["OUT"]["oldest_s"] = LATE + 60
    document["spool"]["stuck"] = [{"why": "w", "count": 2, "example": "a.txt"}, {"why": "v", "count": 1, "example": "b.txt"}]

    assert [each["what"] for each in stops(document, NOW)] == [
        "Filter A has been unavailable for 12 s (failed); 3 messages wait for it: old",
        "Filter B has not answered for 12 s (stalled); 1 message waits for it",
        "Module queue OUT is not emptied: 3 messages, the oldest for 11 min",
        "2 files, a.txt among them, are not taken from the drop folder: w",
        "File b.txt is not taken from the drop folder: v",
    ]
