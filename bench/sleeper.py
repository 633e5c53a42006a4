"""A helper that takes its time: `sleeper.py SECONDS`. It judges any number at once, as a scanner that waits for a network does."""

import heapq
import os
import select
import sys
import time


def main() -> None:
    seconds = float(sys.argv[1])
    due: list[tuple[float, bytes]] = []
    tail = b""
    while True:
        pause = max(0.0, due[0][0] - time.monotonic()) if due else None
        if select.select([0], [], [], pause)[0]:
            data = os.read(0, 65536)
            if not data:
                return
            *lines, tail = (tail + data).split(b"\n")
            now = time.monotonic()
            for line in lines:
                number, verb, *_ = line.split(b" ")
                answer = number + (b" INTF 4\n" if verb == b"INTF" else b" OK\n")
                heapq.heappush(due, (now + (seconds if verb == b"FILE" else 0), answer))
        now, ready = time.monotonic(), b""
        while due and due[0][0] <= now:
            ready += heapq.heappop(due)[1]
        if ready:
            os.write(1, ready)


if __name__ == "__main__":
    main()
