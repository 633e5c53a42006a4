"""Demands on how it is known whose orphan a process is."""

import subprocess
import sys

from filterlink.process import orphans

MARK = "from filterlink.process import orphans; print(orphans.new_mark())"


def test_two_processes_give_no_mark_twice() -> None:
    """A helper may run an engine: its helpers are not to be ended with a helper of the outer one."""
    marks = {int(subprocess.run([sys.executable, "-c", MARK], capture_output=True, check=True, timeout=20).stdout) for _ in range(2)}
    marks |= {orphans.new_mark(), orphans.new_mark()}

    assert len(marks) == 4
    assert max(marks) < 1 << 63
