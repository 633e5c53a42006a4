"""The command as a whole: help, exit codes, and that every failure is one line."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from enqueuer.cli import app


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


def pages(command: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """All commands below this one."""
    yield words, command
    for name, child in getattr(command, "commands", {}).items():
        yield from pages(child, (*words, name))


@pytest.mark.parametrize("words", [words for words, _ in pages(typer.main.get_command(app.app))], ids=" ".join)
def test_no_help_page_shows_python(words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Types of Python and doubled brackets are for nobody; only examples, which are to be copied, are wider than the terminal."""
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        app.app([*words, "--help"], prog_name="enqueuer")
    page = capsys.readouterr().out
    said = page.partition("Examples:")[0] + page.partition("Examples:")[2].partition("\n\n")[2]

    assert re.findall(r"<\w+[^>]*>|list\[|\[\[|\]\]|<=|>=|\brange\b|None|\w\.\.\.$", page, re.MULTILINE) == []
    assert [line for line in said.splitlines() if len(line) > 80] == []


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["filters", "bench", "x", "--count", "0"], "enqueuer filters bench: --count: write a number of at least 1 (see"),
        (["filters", "bench", "x", "--count", "ten"], "enqueuer filters bench: --count: write a whole number (see"),
        (["tune", "--seconds", "soon"], "enqueuer tune: --seconds: write a number (see"),
        (["filter", "yara", "--threads", "1000"], "enqueuer filter yara: --threads: write a number of at most 256 (see"),
        (["filter", "clamd"], "enqueuer filter clamd: no server: name one"),
        (["queue", "show"], "enqueuer queue show: ID is missing (see"),
        (["filters", "bench", "a 'b"], "a quote is not closed"),
    ],
)
def test_a_faulty_option_is_told_in_plain_words(enqueuer: Any, words: list[str], told: str) -> None:
    """What the libraries say is not for users."""
    assert told in enqueuer(*words).stderr.decode()


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
