"""The tree is as it is meant to be: every guard of tests/guards.py is content."""

import runpy
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

HERE = Path(__file__).parent
GUARDS: tuple[Callable[[], Iterable[str]], ...] = runpy.run_path(str(HERE / "guards.py"))["GUARDS"]


@pytest.mark.parametrize("guard", GUARDS, ids=lambda guard: guard.__name__)
def test_guard_is_content(guard: Callable[[], Iterable[str]]) -> None:
    """No guard has a complaint."""
    assert list(guard()) == []


@pytest.mark.parametrize("module", ["queue", "enqueuer.queue.directory.names", "enqueuer.queue.directory.store"])
def test_the_two_queues_live_side_by_side(module: str) -> None:
    """With the root on sys.path the standard library's queue wins, and ours is enqueuer.queue; neither brings the engine in."""
    code = f"import sys, {module}, multiprocessing.queues, queue; assert queue.Queue; assert 'enqueuer.supervisor' not in sys.modules"

    assert subprocess.run([sys.executable, "-c", code], cwd=HERE.parent, check=False).returncode == 0
