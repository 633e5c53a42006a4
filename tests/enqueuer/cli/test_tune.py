"""enqueuer tune: the command as a whole."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from enqueuer.cli import tune as module

CONFIG = """\
rules = []                  # nothing is scanned
[enqueuer]
processors = 1              # mine
[[routes]]
recipient = "*"
to = "OUT"
"""


def run(base: Path, *words: str, timeout: float = 60.0) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "enqueuer.cli.app", "tune", "--base", str(base), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False, stdin=subprocess.DEVNULL)


@pytest.mark.alone
def test_measured_and_applied(base: Path) -> None:
    """One document on stdout, all else on stderr; the file has the count, the rest of it is as it was, and the way back is said."""
    file = base / "Settings/enqueuer.toml"
    file.write_text(CONFIG)
    done = run(base, "--seconds", "6", "--json", "--apply")
    found = json.loads(done.stdout)
    count = found["recommended"]["processors"]

    assert done.returncode == 0, done.stderr
    assert found["bottleneck"]["kind"]
    assert found["load_per_s"] is None
    assert file.read_text() == CONFIG.replace("= 1 ", f"= {count} ")
    assert count == 1 or f"to go back: mv {file}.before-tune {file}" in done.stderr
    assert "Mail: " in done.stderr
    assert not list((base / "Run").iterdir())


def test_no_program_of_a_config_file_that_others_may_write(base: Path) -> None:
    (base / "Settings").chmod(0o777)
    done = run(base, "--seconds", "5")

    assert (done.returncode, done.stdout) == (78, "")
    assert f"{base}/Settings can be written by every account" in done.stderr


@pytest.mark.alone
def test_too_little_is_not_applied(base: Path) -> None:
    """What ended before today's count was tried takes no processors away: the file stays, and the command fails and says why."""
    file = base / "Settings/enqueuer.toml"
    file.write_text(CONFIG.replace("= 1 ", "= 999 "))
    command = [sys.executable, "-m", "enqueuer.cli.app", "tune", "--base", str(base), "--apply", "--seconds", "20"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as tune:
        assert tune.stderr
        assert any(line.split()[:1] == ["1"] for line in tune.stderr)  # the row of the first count; reading goes on behind it
        tune.send_signal(signal.SIGINT)
        told, complained = tune.communicate(timeout=30)

    assert tune.returncode == 69, complained
    assert "nothing was changed: it ended before processors = 999, the configured count, was measured" in complained
    assert "The best so far: processors = 1 (now 999)" in told
    assert file.read_text() == CONFIG.replace("= 1 ", "= 999 ")


def test_a_filter_that_cannot_run_is_said(base: Path) -> None:
    """In one line that names it, with 69, and nothing is left."""
    filter = '[[filters]]\nname = "F"\nprogram = "no-such-program-at-all"\nauto_restart = "100ms"\n'
    rule = '[[rules]]\nname = "r"\nactions = [["ExternalFilter", "F"]]\n'
    (base / "Settings/enqueuer.toml").write_text(CONFIG.replace("rules = []", "") + filter + rule)
    done = run(base)

    assert done.returncode == 69
    assert 'enqueuer: filter "F" does not start: ' in done.stderr
    assert "Traceback" not in done.stderr
    assert not list((base / "Run").iterdir())


def test_no_such_mail(base: Path, tmp_path: Path) -> None:
    """Not there, or no mail: 66."""
    (tmp_path / "notes").write_text("no mail\n")

    assert run(base, "--mail", str(tmp_path / "none")).returncode == 66
    assert run(base, "--mail", str(tmp_path / "notes")).returncode == 66


def test_a_picture_needs_its_library(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What to install is said before anything is measured."""
    monkeypatch.setattr("enqueuer.tune.png.find_spec", {}.get)

    with pytest.raises(module.CommandFailure, match=r"pip install 'enqueuer\[plot\]'"):
        module._tune(str(base), png=Path("x.png"))
