"""Exit codes: those of sysexits.h, so that scripts and systemd know what to do next. Numbers only."""

__all__ = [
    "CANTCREAT",
    "CONFIG",
    "DATAERR",
    "INTERRUPTED",
    "IOERR",
    "NOINPUT",
    "NOPERM",
    "OK",
    "SOFTWARE",
    "TEMPFAIL",
    "UNAVAILABLE",
    "USAGE",
]

OK = 0
USAGE = 64
"""The command line was wrong."""
DATAERR = 65
"""The input was wrong, e.g. a message without a recipient."""
NOINPUT = 66
"""The input does not exist: no such file, message or base directory."""
UNAVAILABLE = 69
"""No engine answers."""
SOFTWARE = 70
"""Our own fault."""
CANTCREAT = 73
"""The program cannot make a file or folder."""
IOERR = 74
"""The disk fails."""
TEMPFAIL = 75
"""Try again: queue full, disk full, or another engine runs here."""
NOPERM = 77
"""Not permitted to this user."""
CONFIG = 78
"""The config file is not valid."""
INTERRUPTED = 130
"""Ctrl-C, as a shell counts it: 128 + SIGINT."""
