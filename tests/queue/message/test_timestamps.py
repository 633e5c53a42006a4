"""Demands on points of time as text."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest

from enqueuer.queue.message import timestamps

AT = 1_795_860_000.9
"""2026-11-28 10:00:00.9 in UTC."""


@pytest.fixture
def _in_kathmandu(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A zone whose offset is no whole hour, so that no mistake looks right."""
    with monkeypatch.context() as changed:
        changed.setenv("TZ", "UTC-5:45")
        time.tzset()
        for cached in (timestamps.day, timestamps.time_of_day):
            cached.cache_clear()
        yield
    time.tzset()
    for cached in (timestamps.day, timestamps.time_of_day):
        cached.cache_clear()


@pytest.mark.usefixtures("_in_kathmandu")
def test_documents_and_envelopes_have_utc_and_the_log_has_local_time() -> None:
    assert timestamps.in_headers(int(AT)) == "Sat, 28 Nov 2026 10:00:00 +0000"
    assert timestamps.rfc3339(AT) == "2026-11-28T10:00:00Z"
    assert timestamps.in_envelopes(AT) == "28-11-2026 10:00:00"
    assert timestamps.time_of_day(int(AT)) == "15:45:00"
    assert timestamps.day(int(AT) + 9 * 3600) == "2026-11-29"


def test_a_date_in_a_header_is_what_the_standard_library_writes() -> None:
    for day in range(2000):
        second = int(AT) + day * 86_400 + day
        assert timestamps.in_headers(second) == format_datetime(datetime.fromtimestamp(second, UTC))
