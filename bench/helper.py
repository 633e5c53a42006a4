"""The measuring helper: `helper.py noop | header | rejected | sleep:MS | told:MS | busy:MS`.

It does not read the message (except for told), so it shows the cost of the question alone.

noop answers at once, in a tight loop (about 5 us a request, one read and one write for all lines in the pipe).
header does the same with a header field to add, so that mail is not published as it came.
rejected cannot scan: the message is deferred.
sleep takes MS milliseconds for each message and scans any number at the same time, like a scanner that waits for a network.
told does the same, but a message with "X-Delay: MS" near its top takes that long.
busy computes for MS milliseconds of CPU, one message after the other: each of its processes scans one at a time.
"""

import heapq
import os
import select
import sys
import time
from collections.abc import Callable

Lines = list[bytes]


def answer(line: bytes) -> bytes:
    number, verb, *_ = line.split(b" ", 2)
    return number + (b" INTF 4\n" if verb == b"INTF" else b" OK\n")


def lines_of(serve: Callable[[Lines], None]) -> None:
    """Give `serve` the available lines, until the input ends."""
    tail = b""
    while data := os.read(0, 65536):
        *lines, tail = (tail + data).split(b"\n")
        serve(lines)


def noop(lines: Lines) -> None:
    os.write(1, b"".join([answer(line) for line in lines]))


def header(lines: Lines) -> None:
    os.write(1, b"".join([answer(line).replace(b" OK", b' ADDHEADER "X-Verdict: OK" OK') for line in lines]))


def rejected(lines: Lines) -> None:
    os.write(1, b"".join([answer(line).replace(b" OK", b' REJECTED "not now"') for line in lines]))


def busy(seconds: float) -> Callable[[Lines], None]:
    def serve(lines: Lines) -> None:
        for line in lines:
            end = time.thread_time() + seconds
            while b" FILE " in line and time.thread_time() < end:
                pass
            os.write(1, answer(line))

    return serve


def delay(line: bytes) -> float:
    """Return the delay that the message names, in seconds; -1 if it names none."""
    _, _, path = line.split(b" ", 2)
    fd = os.open(path, os.O_RDONLY)
    _, found, after = os.read(fd, 1024).partition(b"X-Delay: ")
    os.close(fd)
    return float(after.split(b"\n", 1)[0]) / 1000 if found else -1


def sleep(seconds: float, told: bool) -> Callable[[bytes], tuple[float, bytes]]:
    def judge(line: bytes) -> tuple[float, bytes]:
        asked = b" FILE " in line
        own = delay(line) if told and asked else -1
        return own if own >= 0 else seconds * asked, answer(line)

    return judge


def later(judge: Callable[[bytes], tuple[float, bytes]]) -> None:
    """Answer each line with what `judge` returns for it, after its seconds: any number at the same time, in any order."""
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
                seconds, text = judge(line)
                heapq.heappush(due, (now + seconds, text))
        now = time.monotonic()
        ready = b""
        while due and due[0][0] <= now:
            ready += heapq.heappop(due)[1]
        if ready:
            os.write(1, ready)


def main() -> None:
    kind, _, milliseconds = sys.argv[1].partition(":")
    at_once = {"noop": noop, "header": header, "rejected": rejected}
    if kind in at_once:
        lines_of(at_once[kind])
    elif kind == "busy":
        lines_of(busy(float(milliseconds) / 1000))
    else:
        later(sleep(float(milliseconds) / 1000, kind == "told"))


if __name__ == "__main__":
    main()
