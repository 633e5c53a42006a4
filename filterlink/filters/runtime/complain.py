"""Report trouble that belongs to no message to the server's log, on standard error.

The server would read an information line (runtime.say), too, but servers log those only with the traffic.
"""

import os
import select

__all__ = ["complain"]


def complain(text: str) -> None:
    """Report it in one line. Some servers never read standard error: a full pipe loses the line, and blocks nothing."""
    if select.select([], [2], [], 0)[1]:  # select reports a pipe as writable if PIPE_BUF bytes fit
        os.write(2, " ".join(text.split()).encode("utf-8", "replace")[: select.PIPE_BUF - 1] + b"\n")
