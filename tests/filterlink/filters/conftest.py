"""What the tests of the filters share. A test that uses a real server is marked `server`, and skipped where that is not installed."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from filterlink.filters.runtime.verdict import Verdict
from filterlink.filters.servers.exchange import Terms
from tests.filterlink.filters import daemons
from tests.filterlink.filters.daemons import CORPUS, EICAR, Clamd, served

ENVELOPE = b"P I 01-01-2026 00:00:00 0000 ____ ____ <a@b>\nO L\nR W x <c@d>\n\n"


@pytest.fixture
def clamds(tmp_path: Path) -> Iterator[Callable[..., Clamd]]:
    """Makes clamds, not started yet: clamds("StreamMaxLength 1M"). All are ended with the test."""
    made: list[Clamd] = []

    def make(*lines: str) -> Clamd:
        folder = tmp_path / f"clamd{len(made)}"
        folder.mkdir()
        made.append(Clamd(folder, *lines))
        return made[-1]

    yield make
    for each in made:
        each.kill()


@pytest.fixture
def serving() -> Iterator[Callable[..., Any]]:
    """Makes servers, not started yet: serving(make_opendkim, "Mode v"). All are ended with the test."""
    with contextlib.ExitStack() as stack:
        yield lambda make, *words, **options: stack.enter_context(served(make, *words, **options))


@pytest.fixture
def judging(tmp_path: Path) -> Callable[..., Callable[[bytes], Verdict]]:
    """Has a filter judge messages: judging(filter)(message)."""

    def make(filter: Any, envelope: bytes = daemons.ENVELOPE) -> Callable[[bytes], Verdict]:
        return lambda message: filter.judge(daemons.queued(tmp_path, message, envelope))

    return make


@pytest.fixture
def parted() -> Callable[[dict[str, Any]], tuple[dict[str, Any], Terms]]:
    """Parts what a test says: settings of the filter, and the terms of all."""

    def part(said: dict[str, Any]) -> tuple[dict[str, Any], Terms]:
        said = {"wait": 30.0, **said}
        terms = Terms(**{name: said.pop(name) for name in Terms._fields if name in said})
        return said, terms

    return part


@pytest.fixture
def mail() -> Callable[..., bytes]:
    return daemons.mail


@pytest.fixture
def queued(tmp_path: Path) -> Callable[[bytes], str]:
    """Writes a message into a queue file, and gives its path."""
    numbers = iter(range(1, 1_000_000))

    def write(message: bytes) -> str:
        path = tmp_path / f"{next(numbers)}.msg"
        path.write_bytes(ENVELOPE + message)
        return str(path)

    return write


@pytest.fixture
def programs() -> Callable[[str, str], str]:
    """Gives the path of a program of a Debian package, or skips the test."""
    return daemons.needs


@pytest.fixture
def eicar() -> bytes:
    return EICAR


@pytest.fixture
def corpus() -> dict[str, bytes]:
    """Debian's containers, each with ClamAV's harmless test file in it."""
    if not CORPUS.exists():
        pytest.skip("no test files: apt-get install clamav-testfiles")
    return {path.name: path.read_bytes() for path in sorted(CORPUS.iterdir())}


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return daemons.signatures(tmp_path / "database")
