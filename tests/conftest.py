"""For all tests: hypothesis does not measure time, as the machine may be busy with something else; and who runs beside whom.

`make test` runs them in several workers (pytest-xdist), as most of them wait most of the time. What measures time or the machine
is marked `alone`: it comes last, and begins when no other worker is at a test. Without workers (plain pytest) nothing is different.
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
    """A worker has one thread more, which only reads; from Python 3.12 on each fork of a test would be warned of it."""
    if _has_neighbours(config):
        config.addinivalue_line("filterwarnings", "ignore:This process .* is multi-threaded:DeprecationWarning")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The storms, long ones, come first, so that no worker is left with one; what runs alone comes last, all in a row."""
    if _has_neighbours(config):
        items.sort(key=lambda item: (_is_alone(item), "storm" not in item.path.parts))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """With its fixtures: who is alone has the lock of all workers for itself, the others share it."""
    if not _has_neighbours(item.config):
        return (yield)
    with (Path(item.config.option.basetemp).parent / "alone").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX if _is_alone(item) else fcntl.LOCK_SH)
        return (yield)
