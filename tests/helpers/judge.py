"""Be the helper of the tests with whole engines: `judge.py [SECONDS [FOLDER]]`.

Each message names its own verdict: the line `X-Judge: SECONDS ANSWER` in its header. Without this line the answer is OK. The
helper answers after that time (plus SECONDS), out of order, with any number of requests at once. `X-Judge: die` ends the helper
with status 3, `X-Judge: leave` with status 0.

Two words are not answers of the protocol. `once ANSWER`: the first answer is REJECTED, and all later ones are ANSWER; a file in
FOLDER remembers this, even if processes are killed. `fickle`: each scan gives a random verdict.
"""

import os
import random
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bench.helper import later

JUDGE = re.compile(rb"^X-Judge: (?:(die|leave)|([0-9.]+) (.*))$", re.MULTILINE)
NAME = re.compile(rb"^Message-ID: <([^>]*)>$", re.MULTILINE)
FICKLE = (b"OK", b'ERROR "today not"', b"DISCARD")
LEAST = float(sys.argv[1]) if len(sys.argv) > 1 else 0.0


def judge(line: bytes) -> tuple[float, bytes]:
    """Return the seconds until the answer to this command, and the answer."""
    number, verb, *rest = line.split(b" ", 2)
    seconds, text = judged(rest[0]) if verb == b"FILE" else (0.0, {b"INTF": b"INTF 4"}.get(verb, b"OK"))
    return seconds, number + b" " + text + b"\n"


def judged(path: bytes) -> tuple[float, bytes]:
    try:
        with open(path, "rb") as file:
            head = file.read(100_000)
    except OSError:
        return 0.0, b'REJECTED "no such file"'
    match = JUDGE.search(head)
    if match is None:
        return LEAST, b"OK"
    if match[1]:
        sys.exit(3 if match[1] == b"die" else 0)
    return float(match[2]) + LEAST, verdict(head, match[3].replace(b"\\n", b"\n"))


def verdict(head: bytes, text: bytes) -> bytes:
    word, _, rest = text.partition(b" ")
    if word == b"fickle":
        return random.choice(FICKLE)
    if word == b"once":
        return rest if seen(head) else b'REJECTED "come again"'
    return text


def seen(head: bytes) -> bool:
    name = NAME.search(head)
    assert name
    try:
        os.close(os.open(os.path.join(os.fsencode(sys.argv[2]), name[1]), os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return True
    return False


if __name__ == "__main__":
    later(judge)
