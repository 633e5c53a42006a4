"""Check the command line of a filter we ship, without running it: `enqueuer filter --check NAME ...` (hidden).

The filter does all that it does before its first request: it parses its options, reads its rules, and makes its folder.
Then it prints PASSED and ends instead of serving.
"""

import os
import stat
import sys
from collections.abc import Iterable

__all__ = ["PASSED", "begin", "doubt_sockets", "only", "passed"]

PASSED = "the command line is right"
"""What a check prints if the filter would now serve."""
_only = False


def begin() -> None:
    """Let filters of this process only check their command lines."""
    global _only
    _only = True


def only() -> bool:
    """Return whether this process only checks."""
    return _only


def passed() -> int:
    """End a check; return the exit code."""
    print(PASSED)
    return os.EX_OK


def doubt_sockets(paths: Iterable[str]) -> None:
    """Report sockets that are missing, on standard error, in a check. Their servers may only be down."""
    for path in paths if _only else ():
        try:
            if not stat.S_ISSOCK(os.stat(path).st_mode):
                print(f"--socket {path}: it is no socket; write the path of the server's socket", file=sys.stderr)
        except OSError as error:
            print(f"--socket {path}: {error.strerror}; start the server, or write the path of its socket", file=sys.stderr)
