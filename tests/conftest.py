"""Set up all tests: hypothesis has no deadline, because the machine may be busy, and tests that measure run alone.

`make test` runs the tests in several workers (pytest-xdist), because most tests wait most of the time. A test that measures time
or the machine is marked `alone`: it comes last, and begins when no other worker runs a test. Plain pytest has no workers, and
nothing of this applies.
"""

import fcntl
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("enqueuer", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("enqueuer")


def _has_neighbours(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


def _is_alone(item: pytest.Item) -> bool:
    return item.get_closest_marker("alone") is not None


def pytest_configure(config: pytest.Config) -> None:
    """Ignore a warning: a worker has one more thread, which only reads, and Python 3.12 or later would warn at each fork of a test."""
    if _has_neighbours(config):
        config.addinivalue_line("filterwarnings", "ignore:This process .* is multi-threaded:DeprecationWarning")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the storms first, because they are long and no worker should end with one. Put the tests that run alone last."""
    if _has_neighbours(config):
        items.sort(key=lambda item: (_is_alone(item), "storm" not in item.path.parts))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Run a test with its fixtures under the lock of all workers: exclusive if it is marked `alone`, else shared."""
    if not _has_neighbours(item.config):
        return (yield)
    with (Path(item.config.option.basetemp).parent / "alone").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX if _is_alone(item) else fcntl.LOCK_SH)
        return (yield)
