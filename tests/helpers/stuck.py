"""A helper that the kernel does not let go: `stuck.py PLACE`. The first message with `X-Stuck:` makes it read PLACE/file, which may hang.

Where PLACE is a filesystem that answers no read, it is in state D then, and SIGKILL waits, too.
"""

import os
import sys
from pathlib import Path

ONCE = Path(f"{sys.argv[1]}.once")
for line in sys.stdin:
    number, verb, *rest = line.split()
    if verb == "FILE" and b"X-Stuck:" in Path(rest[0]).read_bytes() and not ONCE.exists():
        ONCE.touch()
        Path(sys.argv[1], "file").read_bytes()
    os.write(1, f"{number} {'INTF 4' if verb == 'INTF' else 'OK'}\n".encode())
