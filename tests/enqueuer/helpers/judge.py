"""A helper for tests. A message says itself what is to become of it: the line `X-Judge: SECONDS ANSWER` in its header.

Answers after that time, out of order, any number at once. `X-Judge: die` ends the helper, `X-Judge: leave` with status 0.
No such line: OK at once.
With an argument, every message takes that many seconds at least.
"""

import heapq
import os
import re
import select
import sys
import time

JUDGE = re.compile(rb"^X-Judge: (?:(die|leave)|([0-9.]+) (.*))$", re.MULTILINE)


def answer(path: bytes) -> tuple[float, bytes]:
    least = float(sys.argv[1]) if len(sys.argv) > 1 else 0.0
    try:
        with open(path, "rb") as file:
            match = JUDGE.search(file.read(100_000))
    except OSError:
        return 0.0, b'REJECTED "no such file"'
    if match is None:
        return least, b"OK"
    if match[1]:
        sys.exit(3 if match[1] == b"die" else 0)
    return float(match[2]) + least, match[3].replace(b"\\n", b"\n")


def main() -> None:
    due: list[tuple[float, bytes]] = []
    tail = b""
    while True:
        pause = max(0.0, due[0][0] - time.monotonic()) if due else None
        if select.select([0], [], [], pause)[0]:
            data = os.read(0, 65536)
            if not data:
                return
            *lines, tail = (tail + data).split(b"\n")
            for line in lines:
                number, verb, *rest = line.split(b" ", 2)
                if verb == b"FILE":
                    seconds, text = answer(rest[0])
                else:
                    seconds, text = 0.0, {b"INTF": b"INTF 4"}.get(verb, b"OK")
                heapq.heappush(due, (time.monotonic() + seconds, number + b" " + text + b"\n"))
        while due and due[0][0] <= time.monotonic():
            os.write(1, heapq.heappop(due)[1])


if __name__ == "__main__":
    main()
