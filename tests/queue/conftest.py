"""A base directory as the current directory, and the store's disk on it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from enqueuer import basedir
from enqueuer.queue.directory.disk import Disk


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh base directory, and the current one."""
    basedir.create(tmp_path / "base")
    monkeypatch.chdir(tmp_path / "base")
    return tmp_path / "base"


@pytest.fixture
def disk(base: Path) -> Iterator[Disk]:
    disk = Disk()
    yield disk
    disk.close()
