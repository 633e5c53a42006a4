"""config check: ok, ok with doubts, or the one line."""

from pathlib import Path
from typing import Any


def test_the_file_of_init_is_ok(enqueuer: Any, base: Path) -> None:
    """Without an argument it is the base directory's file."""
    done = enqueuer("config", "check")

    assert done.returncode == 0
    assert done.stdout.decode() == f"{base}/Settings/enqueuer.toml: ok\n"
    assert done.stderr == b""


def test_a_bad_file_is_one_line_and_78(enqueuer: Any, tmp_path: Path) -> None:
    """The line is on stderr."""
    bad = tmp_path / "bad.toml"
    bad.write_text('rules = []\nroutes = [{recipient = "*", to = "OUT"}]\n[enqueuer]\nprocesors = 3\n')
    done = enqueuer("config", "check", str(bad))

    assert done.returncode == 78
    assert done.stdout == b""
    assert done.stderr.decode() == f"enqueuer: {bad}: enqueuer.procesors: no such key, did you mean processors?\n"


def test_doubts_are_warnings(enqueuer: Any, tmp_path: Path) -> None:
    """They do not refuse the file."""
    doubtful = tmp_path / "one.toml"
    doubtful.write_text('rules = []\nroutes = [{recipient = "*", to = "OUT"}]\n[enqueuer]\nprocessors = 1\n')
    done = enqueuer("config", "check", str(doubtful))

    assert done.returncode == 0
    assert b"warning: enqueuer.processors = 1" in done.stderr
