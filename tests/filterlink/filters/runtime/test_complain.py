import subprocess
import sys

PROGRAM = r"""
from filterlink.filters.runtime.complain import complain
for _ in range(1000):
    complain("trouble\n of  ours: " + "\u00e4" * 5000)
print("done", flush=True)
"""


def test_complaints_stop_nobody() -> None:
    """Each is one line of bounded length; when nobody reads and the pipe is full they are lost."""
    with subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stderr
        assert process.stdout.readline() == b"done\n"
        lines = process.stderr.read().splitlines(keepends=True)

    assert 1 < len(lines) < 1000
    assert all(line.startswith(b"trouble of ours: \xc3\xa4") and line.endswith(b"\n") and len(line) <= 4096 for line in lines)
