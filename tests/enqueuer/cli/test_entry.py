"""The quick way into `enqueuer scan` against typer's."""

import subprocess
import sys

import pytest
import typer

from enqueuer.cli import _scan, entry
from enqueuer.cli.app import app


def by_typer(words: list[str], monkeypatch: pytest.MonkeyPatch) -> _scan.ScanOptions:
    found: list[_scan.ScanOptions] = []
    monkeypatch.setattr(_scan, "run", found.append)
    app(words, standalone_mode=False)
    return found[0]


@pytest.mark.parametrize(
    "words",
    [
        "a",
        "a - b --json",
        "--standalone --base=x a",
        "--from s --rcpt r --rcpt=q --client 1.2.3.4 --helo h --user u a",
        "--from= a",
    ],
)
def test_both_ways_read_the_same(words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    line = ["scan", *words.split()]
    options = entry.quick(line)
    assert options is not None
    assert _scan.ScanOptions(**options) == by_typer(line, monkeypatch)


@pytest.mark.parametrize(
    "line", ["", "status", "scan", "scan --help", "scan --nonsense a", "scan a --from", "scan -- a", "scan --json=1 a", "--help scan a"]
)
def test_all_else_is_for_typer(line: str) -> None:
    assert entry.quick(line.split()) is None


def test_the_options_are_those_of_the_help_page() -> None:
    command = typer.main.get_command(app).commands["scan"]  # type: ignore[attr-defined]
    named = {option for each in command.params for option in each.opts if option.startswith("--")}
    assert named - {"--help"} == {*entry.FLAGS, *entry.VALUES}


def test_the_quick_way_loads_neither_typer_nor_msgspec() -> None:
    text = "import sys; from enqueuer.cli import _scan, entry; print([m for m in ('typer', 'msgspec', 'h11', 'http') if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"
