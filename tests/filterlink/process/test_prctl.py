"""Demands on what a process sets of itself. The kernel shows it in /proc, of a child process."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
SHOW = "print(open('/proc/self/status').read())"


def _status(call: str) -> dict[str, str]:
    """The status of a process after the call."""
    words = [sys.executable, "-c", f"from filterlink.process import prctl; prctl.{call}(); {SHOW}"]
    shown = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return dict(line.split(":\t", 1) for line in shown.splitlines() if ":\t" in line)


def test_privileges_are_given_up() -> None:
    assert _status("allow_no_new_privileges")["NoNewPrivs"] == "1"


def test_no_ambient_capability_is_left() -> None:
    assert int(_status("clear_ambient_capabilities")["CapAmb"], 16) == 0


def test_one_whose_parent_ended_is_adopted() -> None:
    """The grandchild sees its new parent: the process that adopts, and not process 1."""
    code = """
import os
from filterlink.process import prctl
prctl.adopt_orphans()
read, write = os.pipe()
if os.fork() == 0:
    ours = os.getpid()
    if os.fork() == 0:
        while os.getppid() == ours:
            pass
        os.write(write, b"%d" % os.getppid())
    os._exit(0)
print(int(os.read(read, 20)) == os.getpid())
"""
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout == "True\n"
