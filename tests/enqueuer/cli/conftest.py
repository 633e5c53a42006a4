"""The real command, as a process, in a base directory of its own."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Protocol

import pytest

from enqueuer import basedir


class Run(Protocol):
    def __call__(self, *words: str, stdin: bytes = b"") -> "subprocess.CompletedProcess[bytes]": ...


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A fresh base directory; no engine runs in it."""
    basedir.create(tmp_path / "base")
    return tmp_path / "base"


@pytest.fixture
def enqueuer(base: Path) -> Run:
    """Run one command to its end."""
    environment = os.environ | {"ENQUEUER_BASE": str(base), "NO_COLOR": "1"}

    def run(*words: str, stdin: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
        command = [sys.executable, "-m", "enqueuer.cli.app", *words]
        return subprocess.run(command, input=stdin, capture_output=True, env=environment, timeout=20, check=False)

    return run
