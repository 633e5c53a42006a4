"""enqueuer tune: the command as a whole."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from enqueuer.cli import tune as module
from enqueuer.config import schema
from enqueuer.tune.mail import made
from enqueuer.tune.session import Measured
from enqueuer.tune.verdict import Cpu, TuneStep

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
    """One document on stdout, all else on stderr; the file has the count, the rest of it is as it was, and the way back is said.

    Other tests may use the machine: then nothing is recommended, and nothing written.
    """
    file = base / "Settings/enqueuer.toml"
    file.write_text(CONFIG)
    done = run(base, "--seconds", "6", "--json", "--apply")
    found = json.loads(done.stdout)

    assert found["bottleneck"]["kind"]
    assert found["load_per_s"] is None
    if found["recommended"] is None:
        assert done.returncode == 75, done.stderr
        assert f"nothing was changed: no recommendation: {found['doubts'][0][:-1]}" in done.stderr
        assert file.read_text() == CONFIG
    else:
        assert done.returncode == 0, done.stderr
        assert file.read_text() == CONFIG.replace("= 1 ", f"= {found['recommended']['processors']} ")
        assert f"to go back: mv {file}.before-tune {file}" in done.stderr
    assert "Mail: " in done.stderr
    assert not list((base / "Run").iterdir())


STEP = TuneStep(
    processors=1, rate=50.0, spread=0.02, busy=1, scanning=0, parked=0, piled_up=0, scans=(), cpu=Cpu(cores=2, busy=0.5), disk=0.0
)
STEPS = [msgspec.structs.replace(STEP, processors=n, rate=50.0 * n) for n in (1, 2, 4)]


@pytest.mark.parametrize("spread", [0.02, 0.4])
def test_what_is_recommended_is_written_and_nothing_else(base: Path, spread: float, capsys: pytest.CaptureFixture[str]) -> None:
    """If the throughput varies by 40 %, the config file stays as it is."""
    file = base / "Settings/enqueuer.toml"
    file.write_text(CONFIG)
    steps = [*STEPS[:2], msgspec.structs.replace(STEPS[2], spread=spread)]
    found = Measured(schema.load(CONFIG.encode()), 0.02, steps)
    if spread < 0.2:
        assert module._told(base, found, made(), None, True, False) == 0
        assert file.read_text() == CONFIG.replace("= 1 ", "= 4 ")
    else:
        with pytest.raises(module.CommandFailure, match="nothing was changed: no recommendation: the throughput with 4 ") as failed:
            module._told(base, found, made(), None, True, False)
        assert failed.value.code == 75
        assert file.read_text() == CONFIG
        assert "No recommendation: the throughput with 4 processors varied by ±40%." in capsys.readouterr().out


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

    assert tune.returncode == 75, complained
    assert "nothing was changed: no recommendation: " in complained
    assert "No recommendation: " in told
    assert "it ended before processors = 999, the configured count, was measured" in told
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
