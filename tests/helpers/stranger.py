"""Run a command as another account: `stranger.py UID UMASK GROUP,GROUP WORD...`, started by root.

The interpreter may be in a folder that only root can read. So a first `submit`, into a temporary folder, loads all modules
before the account changes.
"""

import contextlib
import io
import os
import sys
import tempfile
from pathlib import Path

from enqueuer import basedir
from enqueuer.cli import app


def main() -> None:
    user, umask, groups, *words = sys.argv[1:]
    warm_up()
    os.umask(int(umask, 8))
    os.setgroups([int(group) for group in groups.split(",") if group])
    os.setgid(int(user))
    os.setuid(int(user))
    os.chdir("/")
    sys.argv = ["enqueuer", *words]
    app.main()


def warm_up() -> None:
    real = sys.stdin, sys.stdout
    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(SystemExit):
        basedir.create(Path(folder))
        sys.stdin = io.TextIOWrapper(io.BytesIO(b"To: b@b.example\n\ntext\n"))
        sys.stdout = io.StringIO()
        sys.argv = ["enqueuer", "submit", "--base", folder, "-t"]
        app.main()
    sys.stdin, sys.stdout = real


main()
