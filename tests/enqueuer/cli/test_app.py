"""The command as a whole: help, exit codes, and that every failure is one line."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


def test_help_has_examples_and_all_commands(enqueuer: Any) -> None:
    """A newcomer finds the first steps in the first lines."""
    page = enqueuer("--help").stdout.decode()

    assert page.index("Examples:") < page.index("Commands:")
    for command in ("init", "run", "submit", "status", "reload", "stop", "queue", "quarantine", "filters", "filter", "config", "demo"):
        assert f"\n  {command} " in page


@pytest.mark.parametrize(
    "words", [["init"], ["run"], ["submit"], ["status"], ["stop"], ["queue", "list"], ["config", "check"], ["filter", "yara"]]
)
def test_each_command_explains_itself(enqueuer: Any, words: list[str]) -> None:
    """Examples come before the options."""
    done = enqueuer(*words, "--help")
    page = done.stdout.decode()

    assert done.returncode == 0
    assert page.index("Examples:") < page.index("Options:")


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--version"], 0),
        ([], 64),
        (["statsu"], 64),
        (["status", "--bse", "x"], 64),
        (["queue"], 64),
        (["queue", "show", "abc"], 64),
        (["queue", "show", "7"], 66),
        (["status"], 69),
        (["reload"], 69),
        (["stop"], 69),
        (["filters", "list"], 69),
        (["run", "--base", "/nonexistent"], 66),
        (["init", "/proc/nowhere/x"], 66),
        (["init", "/etc"], 73),
        (["config", "check", "/nonexistent"], 66),
    ],
)
def test_exit_codes_are_those_of_sysexits(enqueuer: Any, words: list[str], code: int) -> None:
    """Scripts can tell what went wrong; people get a line, never a traceback."""
    done = enqueuer(*words)

    assert done.returncode == code
    assert b"Traceback" not in done.stderr
    assert b"internal error" not in done.stderr
    assert bool(done.stderr) is bool(code)


def test_a_reader_that_has_had_enough_is_no_failure(base: Path) -> None:
    """`enqueuer queue list --json | head` ends in peace."""
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "enqueuer.cli.app", "queue", "list", "--json", "--base", str(base)]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, timeout=20, check=False)
    os.close(write)

    assert (done.returncode, done.stderr) == (0, b"")


def test_light_commands_import_nothing_heavy() -> None:
    """What the engine needs, the other commands do not wait for."""
    code = (
        "import sys, enqueuer.cli.app; print([m for m in ('rich', 'watchdog', 'yara_x', 'multiprocessing', 'asyncio') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=20, check=True)

    assert done.stdout == b"[]\n"
