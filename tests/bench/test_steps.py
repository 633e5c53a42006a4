"""Demands on bench/steps.py: samples become steps, and the table of steps follows the code."""

import ast
from pathlib import Path

from bench import steps

ROOT = Path(__file__).resolve().parents[2]
RAW = [
    'process 7:"enqueuer: supervisor";process 9:"enqueuer: queue manager";thread (9): MainThread;Manager.run (enqueuer/m.py:81);'
    "Manager._pump (enqueuer/m.py:97);Manager._dispatch (enqueuer/m.py:200);Link._send_now (filterlink/wire/link.py:160) 12",
    'process 7:"enqueuer: supervisor";process 12:"enqueuer: processor 3";thread (12): Main;Processor._wait (enqueuer/p.py:1) 3',
    'process 7:"enqueuer: supervisor";process 12:"enqueuer: processor 4";nobody_knows (elsewhere.py:1) 2',
    "this is no sample",
]
STRANGERS = {"Logger._log", "MultiProcessingHandler.emit", "Handler.handle", "Condition.wait"}
STRANGERS |= {"InotifyFD.run", "InotifyFD._check_inotify_fd", "EventEmitter.run", "EventDispatcher.run"}
"""Functions of other people's packages."""


def test_the_innermost_known_function_names_the_step() -> None:
    """Sending a job is dispatch, whatever does the sending; what nobody knows is other; titles with numbers are one role."""
    assert steps.by_step(steps.parse(RAW)) == {
        ("queue manager", "dispatch"): 12,
        ("processors", steps.WAIT): 3,
        ("processors", steps.OTHER): 2,
    }


def test_functions_are_counted_where_the_time_is_spent() -> None:
    """The innermost frame, without its line; a wait is no work."""
    found = steps.by_function(steps.parse(RAW))

    assert found == {("queue manager", "Link._send_now (filterlink/wire/link.py)"): 12, ("processors", "nobody_knows (elsewhere.py)"): 2}


def test_a_helper_is_a_helper() -> None:
    """What does not call itself ours is somebody's helper."""
    assert [steps.role_of(title) for title in ("enqueuer: processor 12", "enqueuer: logger", "/usr/bin/perl x")] == [
        "processors",
        "logger",
        "helper",
    ]


def test_each_function_of_the_table_is_in_the_code() -> None:
    """A function that was renamed belongs into its step again: bench/steps.py."""
    names = {name for functions in steps.STEPS.values() for name in functions.split()}

    assert names - STRANGERS - set(_defined()) == set()


def _defined() -> set[str]:
    found = set()
    for folder in ("enqueuer", "queue", "filterlink"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.parse(path.read_text()).body:
                found |= set(_names(node, ""))
    return found


def _names(node: ast.stmt, outer: str) -> list[str]:
    if isinstance(node, ast.FunctionDef):
        inner = [name for each in node.body for name in _names(each, f"{outer}{node.name}.<locals>.")]
        return [outer + node.name, *inner]
    if isinstance(node, ast.ClassDef):
        return [name for each in node.body for name in _names(each, f"{node.name}.")]
    return []
