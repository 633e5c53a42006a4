"""init, and what can be told of the others without an engine."""

import os
import stat
from pathlib import Path
from typing import Any

import pytest


def test_init_makes_a_base_directory_once(enqueuer: Any, tmp_path: Path) -> None:
    """The second time there is nothing to do, and that is no failure."""
    target = tmp_path / "new"
    first = enqueuer("init", str(target))
    second = enqueuer("init", str(target))

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


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give a folder to any group")
def test_init_opens_the_drop_folder_to_a_group(enqueuer: Any, tmp_path: Path) -> None:
    """Also of a base directory that is there; a second call has nothing to do, and a missing group is an error with the cure."""
    target = tmp_path / "new"
    enqueuer("init", str(target))
    first, second = (enqueuer("init", "--group", "4243", str(target)) for _ in range(2))
    found = (target / "Submitted").stat()

    assert (first.returncode, b"ready;" in first.stdout, b"already" in second.stdout) == (0, True, True)
    assert (stat.S_IMODE(found.st_mode), found.st_gid) == (0o3730, 4243)
    missing = enqueuer("init", "--group", "no-such-group", str(target))
    assert (missing.returncode, b"groupadd --system no-such-group" in missing.stderr) == (73, True)
