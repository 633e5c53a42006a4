"""A base directory with a filter that takes its time, for trials."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from enqueuer import basedir
from tests.helpers.paths import HELPERS

JUDGE = HELPERS / "judge.py"
CONFIG = """\
# mine
{top}
[enqueuer]
processors = 4              # as it was
[[filters]]
name = "Judge"
program = "{program}"
max_in_flight = {slots}     # so many
pipelining = true
auto_restart = "100ms"
[[rules]]
name = "scan everything"
actions = [["ExternalFilter", "Judge"]]
[[routes]]
recipient = "*"
to = "OUT"
"""


@pytest.fixture
def make_base(tmp_path: Path) -> Callable[..., Path]:
    """Makes base directories: make_base(seconds=0.05, slots=16, program="", top="")."""

    def make(seconds: float = 0.05, slots: int = 16, program: str = "", top: str = "") -> Path:
        base = tmp_path / "real"
        basedir.create(base)
        command = program or f"{sys.executable} {JUDGE} {seconds}"
        (base / basedir.CONFIG).write_text(CONFIG.format(program=command, slots=slots, top=top))
        return base

    return make
