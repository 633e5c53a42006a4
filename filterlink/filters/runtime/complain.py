"""How a filter tells the server's log of a trouble that belongs to no message: on standard error.

An information line (runtime.say) would be read as well, but servers log those with the traffic only.
"""

import os
import select

__all__ = ["complain"]


def complain(text: str) -> None:
    """Say it in one line. There are servers that never read standard error: a full pipe costs the line, and stops nobody."""
    if select.select([], [2], [], 0)[1]:  # a pipe that has room has it for PIPE_BUF bytes
        os.write(2, " ".join(text.split()).encode("utf-8", "replace")[: select.PIPE_BUF - 1] + b"\n")
