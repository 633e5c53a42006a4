"""The tree is as it is meant to be: every guard of tests/guards.py is content."""

import ast
import runpy
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

HERE = Path(__file__).parent
FOUND = runpy.run_path(str(HERE / "guards.py"))
GUARDS: tuple[Callable[[], Iterable[str]], ...] = FOUND["GUARDS"]


@pytest.mark.parametrize("guard", GUARDS, ids=lambda guard: guard.__name__)
def test_guard_is_content(guard: Callable[[], Iterable[str]]) -> None:
    """No guard has a complaint."""
    assert list(guard()) == []


@pytest.mark.parametrize(
    ("line", "complains"),
    [
        ("a, b = 1, 2", True),
        ("self.a, self.b = a, b", True),
        ("old, self.a = self.a, 1", True),
        ("(a, b), c = f(), 2", True),
        ("a, b = b, a", False),
        ("x[i], x[j] = x[j], x[i]", False),
        ("a, b = b, a + b", False),
        ("a, b = f()", False),
        ("a, *b = 1, 2", False),
        ("a = 1, 2", False),
    ],
)
def test_a_tuple_is_assigned_to_a_tuple_only_where_the_order_matters(line: str, complains: bool) -> None:
    (node,) = ast.parse(line).body
    assert isinstance(node, ast.Assign)
    assert FOUND["_unrelated"](node.targets[0], node.value) is complains


@pytest.mark.parametrize("module", ["queue", "enqueuer.queue.directory.names", "enqueuer.queue.directory.store"])
def test_the_two_queues_live_side_by_side(module: str) -> None:
    """With the root on sys.path the standard library's queue wins, and ours is enqueuer.queue; neither brings the engine in."""
    code = f"import sys, {module}, multiprocessing.queues, queue; assert queue.Queue; assert 'enqueuer.supervisor' not in sys.modules"

    assert subprocess.run([sys.executable, "-c", code], cwd=HERE.parent, check=False).returncode == 0
