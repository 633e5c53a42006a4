"""config check: ok, ok with doubts, or the one line."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from enqueuer import basedir


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
    assert done.stderr.decode() == f"enqueuer: {bad}: enqueuer.procesors: no such key; did you mean processors?\n"


def test_doubts_are_warnings(enqueuer: Any, tmp_path: Path) -> None:
    """They do not refuse the file."""
    doubtful = tmp_path / "one.toml"
    doubtful.write_text('rules = []\nroutes = [{recipient = "*", to = "OUT"}]\n[enqueuer]\nprocessors = 1\n')
    done = enqueuer("config", "check", str(doubtful))

    assert done.returncode == 0
    assert b"warning: enqueuer.processors = 1" in done.stderr


FILTERED = """
[[filters]]
name = "V"
{}
[[rules]]
name = "all"
actions = [["ExternalFilter", "V"]]
[[routes]]
recipient = "*"
to = "OUT"
"""


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ('program = "nosuchprogram -x"', "program nosuchprogram is not on PATH: install it"),
        ('program = "/usr/nosuch"', "program /usr/nosuch does not exist; write the path"),
        ('program = "./plain"', "program ./plain cannot be run: chmod +x ./plain"),
        ('program = "./folder"', "program ./folder cannot be run"),
        ('program = "./helper"\nuser = "nosuchuser"', "user = nosuchuser: there is no such account"),
        ('program = "/usr/nosuch"\nenabled = false', ""),
        ('program = "./helper"', ""),
        ('program = "helper"', "program helper is not on PATH (the one in the base directory is ./helper)"),
    ],
)
def test_what_this_machine_has_not_is_a_warning(enqueuer: Any, base: Path, settings: str, told: str) -> None:
    """Programs are relative to the base directory, as in the engine; the file may be for another machine, so it is ok."""
    (base / "plain").write_text("no program")
    (base / "folder").mkdir()
    (base / "helper").write_text("#!/bin/sh")
    (base / "helper").chmod(0o755)
    (base / "Settings/enqueuer.toml").write_text(FILTERED.format(settings))
    done = enqueuer("config", "check")

    assert done.returncode == 0
    assert told in done.stderr.decode()
    assert told or b"program" not in done.stderr


@pytest.mark.parametrize("command", [["config", "check"], ["filters", "test", "VirusScan", "/dev/null"], ["submit", "b@b.example"]])
def test_a_fifo_in_the_place_of_the_file_hangs_no_command(tmp_path: Path, command: list[str]) -> None:
    basedir.create(tmp_path / "base")
    file = tmp_path / "base" / basedir.CONFIG
    file.unlink()
    os.mkfifo(file)
    words = [sys.executable, "-m", "enqueuer.cli.app", *command, "--base", str(tmp_path / "base")]
    done = subprocess.run(words, input="To: b@b.example\n\ntext\n", text=True, capture_output=True, timeout=20, check=False)

    assert "Traceback" not in done.stderr
    assert (done.returncode == 0) is (command[0] == "submit")


@pytest.mark.parametrize(
    ("path", "mode", "said"),
    [
        ("Settings/enqueuer.toml", 0o666, "can be written by every account"),
        ("Settings", 0o775, "can be written by group"),
        (".", 0o775, "can be written by group"),
        ("Submitted", 0o1777, "every account may list it"),
    ],
)
def test_what_other_accounts_may_do_is_a_warning(enqueuer: Any, base: Path, path: str, mode: int, said: str) -> None:
    """With the cure."""
    (base / path).chmod(mode)
    done = enqueuer("config", "check")

    assert done.returncode == 0
    assert said in done.stderr.decode()
    assert ": chmod " in done.stderr.decode()


def test_a_suffix_that_submit_does_not_know_is_a_warning(enqueuer: Any, base: Path) -> None:
    """Only where other accounts drop mail: `submit` of theirs cannot read the config file."""
    config = base / "Settings/enqueuer.toml"
    config.write_text(config.read_text().replace('[".sub", ".eml"]', '[".mail"]'))
    assert enqueuer("config", "check").stderr == b""
    (base / "Submitted").chmod(0o3730)
    assert b"spool.suffixes has no .sub" in enqueuer("config", "check").stderr
