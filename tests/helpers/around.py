"""Be a helper that makes mail loops: `around.py WAY`. It drops a copy of each message with `X-Around:` into Submitted/, then answers.

id      the copy has another Message-ID and subject, and the message is discarded
to      the copy has another recipient, and the message is discarded
error   the message is refused
ok      the message goes on, too
"""

import os
import re
import sys
import time
from pathlib import Path

ANSWERS = {"id": "DISCARD", "to": "DISCARD", "error": 'ERROR "no"', "ok": "OK", "deferred": 'REJECTED "no"'}


def changed(message: bytes, way: str) -> bytes:
    if way == "id":
        message = re.sub(rb"Message-ID: .*", b"Message-ID: <%d@x.example>" % time.time_ns(), message)
        return message.replace(b"Subject: ", b"Subject: Re: ", 1)
    return re.sub(rb"To: .*", b"To: b%d@b.example" % time.time_ns(), message) if way == "to" else message


def judge(path: str, way: str) -> str:
    message = Path(path).read_bytes().partition(b"\n\n")[2]
    if b"X-Around:" not in message:
        return "OK"
    new = Path(f"Submitted/{time.time_ns()}.tmp")
    new.write_bytes(changed(message, way))
    new.rename(new.with_suffix(".eml"))
    return ANSWERS[way]


for line in sys.stdin:
    number, verb, *rest = line.split()
    answer = judge(rest[0], sys.argv[1]) if verb == "FILE" else {"INTF": "INTF 4"}.get(verb, "OK")
    os.write(1, f"{number} {answer}\n".encode())
