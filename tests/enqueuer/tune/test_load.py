import gzip
from pathlib import Path

import pytest

from enqueuer import basedir
from enqueuer.tune.load import busiest_hour, today


def test_the_busiest_hour_counts() -> None:
    """Also the last one, which the log does not reach to the end of."""
    quiet = [9 * 3600 + 6.0 * n for n in range(600)]
    busy = [10 * 3600 + 0.5 * n for n in range(240)]

    assert busiest_hour(quiet) == pytest.approx(1 / 6, rel=0.01)
    assert busiest_hour(quiet + busy) == pytest.approx(2, rel=0.01)


def test_less_than_a_minute_is_no_load() -> None:
    """Nor is nothing."""
    assert busiest_hour([]) == busiest_hour([1.0, 2.0, 60.0]) == 0.0


def test_the_log_tells(tmp_path: Path) -> None:
    """The newest that has anything; where none has, and no engine runs, the load is not known."""
    basedir.create(tmp_path / "base")
    logs = tmp_path / "base/SystemLogs"

    assert today(tmp_path / "base") is None
    lines = [f"10:{at // 60:02}:{at % 60:02}.000 2 QUEUE([{at}]) from <>, 9 bytes, x.eml\n" for at in range(1, 601)]
    (logs / "2026-01-01-001.log.gz").write_bytes(gzip.compress("".join(lines[:300]).encode()))
    (logs / "2026-01-01-002.log").write_text("".join(lines[300:]))
    (logs / "2026-01-02.log").write_text("10:00:00.000 2 ENQUEUER running\n")
    found = today(tmp_path / "base")
    assert found is not None
    assert found.rate == pytest.approx(1, rel=0.01)
    assert found.source == "the busiest hour in the log of 2026-01-01"
