"""init, and what can be told of the others without an engine."""

from pathlib import Path
from typing import Any


def test_init_makes_a_base_directory_once(enqueuer: Any, tmp_path: Path) -> None:
    """The second time there is nothing to do, and that is no failure."""
    target = tmp_path / "new"
    first, second = enqueuer("init", str(target)), enqueuer("init", str(target))

    assert (first.returncode, second.returncode) == (0, 0)
    assert b"ready;" in first.stdout
    assert b"already" in second.stdout
    assert (target / "Settings/enqueuer.toml").is_file()


def test_init_refuses_what_is_no_folder(enqueuer: Any, tmp_path: Path) -> None:
    """A file stands in the way."""
    (tmp_path / "file").write_text("")
    done = enqueuer("init", str(tmp_path / "file"))

    assert done.returncode == 73
    assert b"file" in done.stderr


def test_status_without_an_engine_says_how_to_start_one(enqueuer: Any, base: Path) -> None:
    """The line names the base directory and the cure, and stdout stays empty for scripts."""
    done = enqueuer("status", "--json")

    assert done.returncode == 69
    assert done.stdout == b""
    assert f"enqueuer run --base {base}".encode() in done.stderr
