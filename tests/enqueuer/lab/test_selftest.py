import re
import subprocess
import sys

import pytest

from enqueuer.lab import selftest
from enqueuer.lab.samples import SampleMessage, samples
from filterlink.filters.content.archives import unpack

COMMAND = (sys.executable, "-m", "enqueuer.cli.app", "filter", "yara")


def _unfolded(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().out.replace("\n            ", " ")


def test_it_says_what_is_there() -> None:
    """Readers, archives, and how many made messages got the right verdict."""
    done = subprocess.run([*COMMAND, "--self-test"], check=False, capture_output=True, text=True, timeout=60)

    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"^mail +three readers: .*fast-mail-parser\s+\d", done.stdout, re.MULTILINE | re.DOTALL)
    assert max(map(len, done.stdout.splitlines()[:8])) <= 80
    assert re.search(r"^tried +\d\d dangerous messages and \d\d others: none wrong$", done.stdout, re.MULTILINE)


def test_what_is_missing_comes_with_the_cure(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """It is no fault of the filter."""
    monkeypatch.setattr(unpack, "available", lambda: False)

    assert selftest.run() == 0
    assert "missing     without libarchive (apt-get install libarchive13): 7z, rar, cab, iso and others are not opened" in _unfolded(capsys)


def test_a_wrong_verdict_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """With the message, and what the filter says."""
    wrong = SampleMessage("harmless", b"Subject: x\n\nbody", "quarantined", "a text")
    monkeypatch.setattr(selftest, "samples", lambda: [*samples()[:3], wrong])

    assert selftest.run() == 70
    assert "WRONG       harmless (a text): should be quarantined, but the filter says OK" in _unfolded(capsys)


@pytest.mark.parametrize("option", ["--stop", "--mark"])
def test_flags_that_are_none(option: str) -> None:
    """The message names those that are."""
    done = subprocess.run([*COMMAND, option, "broken,opened"], check=False, capture_output=True, text=True, timeout=60)

    assert done.returncode == 64
    assert f"{option}: opened is not one of ambiguous, bomb, broken, encrypted, limit, unopened" in " ".join(done.stderr.split())
