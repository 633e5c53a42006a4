"""A helper for the storms. A message says itself what is to become of it: the line `X-Judge: SECONDS ANSWER` in its header.

Two answers more than a helper can give: `once ANSWER` says REJECTED when the message is seen for the first time (a file in
the folder argv[1] remembers, whoever is killed) and ANSWER from then on; `fickle` is another verdict at each scan.
"""

import heapq
import os
import random
import re
import select
import sys
import time

JUDGE = re.compile(rb"^Message-ID: <([^>]*)>\nX-Judge: ([0-9.]+) (.*)$", re.MULTILINE)
FICKLE = (b"OK", b'ERROR "today not"', b"DISCARD")


def answer(path: bytes) -> tuple[float, bytes]:
    try:
        with open(path, "rb") as file:
            match = JUDGE.search(file.read(10_000))
    except OSError:
        return 0.0, b'REJECTED "no such file"'
    if match is None:
        return 0.0, b"OK"
    return float(match[2]), _verdict(match[1], match[3])


def _verdict(name: bytes, text: bytes) -> bytes:
    word, _, rest = text.partition(b" ")
    if word == b"fickle":
        return random.choice(FICKLE)
    if word == b"once":
        return rest if _seen(name) else b'REJECTED "come again"'
    return text


def _seen(name: bytes) -> bool:
    try:
        os.close(os.open(os.path.join(os.fsencode(sys.argv[1]), name), os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return True
    return False


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
                seconds, text = answer(rest[0]) if verb == b"FILE" else (0.0, {b"INTF": b"INTF 4"}.get(verb, b"OK"))
                heapq.heappush(due, (time.monotonic() + seconds, number + b" " + text + b"\n"))
        while due and due[0][0] <= time.monotonic():
            os.write(1, heapq.heappop(due)[1])


if __name__ == "__main__":
    main()
