"""Be a helper that the kernel holds: `stuck.py PLACE`. At the first message with `X-Stuck:` it reads PLACE/file, which may hang.

If PLACE is a filesystem that answers no read, the helper is then in state D, and SIGKILL does not end it.
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
