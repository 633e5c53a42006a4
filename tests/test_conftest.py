"""Demands on tests/conftest.py: under `make test` tests run side by side, those marked `alone` beside nobody, and all are counted."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MADE = '''
import os, time
from pathlib import Path
import pytest

HERE = Path(__file__).parent

def comes(condition, seconds):
    """Wait for it; say whether it came."""
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end: os.sched_yield()
    return condition()

@pytest.fixture(autouse=True)
def noted(request):
    line = f"{os.environ['PYTEST_XDIST_WORKER']} {request.node.name}\\n"
    with open(HERE / "log", "a", buffering=1) as log:
        log.write(line)
        yield
        log.write(line)

@pytest.mark.alone
@pytest.mark.parametrize("n", range(3))
def test_alone(n):
    (HERE / f"alone{n}").touch()
    assert n < 2

@pytest.mark.parametrize("who", ["A", "", "B", "", "long", ""])  # each of three workers begins with two of them
def test_together(who):
    if who == "long":
        before = list(HERE.glob("alone?"))
        assert not comes(lambda: list(HERE.glob("alone?")) != before, 1)
    elif who:
        (HERE / who).touch()
        assert comes((HERE / ("A" if who == "B" else "B")).exists, 20)
'''


def test_what_is_marked_alone_runs_beside_nobody(tmp_path: Path) -> None:
    """Two that wait for each other pass; nothing alone begins while another test is at work; the closing line counts all."""
    shutil.copy(ROOT / "tests/conftest.py", tmp_path)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = alone\n")
    (tmp_path / "test_made.py").write_text(MADE)
    options = re.findall(r"^PYTEST := .* pytest (.*)", (ROOT / "Makefile").read_text(), re.MULTILINE)[0].replace("$(WORKERS)", "3").split()
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:benchmark", "--basetemp=base", *options]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    log = (tmp_path / "log").read_text().splitlines()

    assert done.returncode == 1, done.stdout
    assert re.match(r"1 failed, 8 passed in ", done.stdout.splitlines()[-1]), done.stdout
    for n in range(3):
        begun, ended = (at for at, line in enumerate(log) if line.endswith(f"test_alone[{n}]"))
        assert ended == begun + 1, log
