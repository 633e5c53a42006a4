"""Demands on a running engine that gets bad messages: any bytes pass as they are, in bounded time and memory."""

import hashlib
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from enqueuer.lab.trial import Trial
from enqueuer.queue.directory.stage import ORPHAN
from enqueuer.queue.message import envelope
from tests.helpers.trace import bare

Config = Callable[..., str]
Trials = Callable[[str], Trial]

TO = b"From: ann@a.example\nTo: bob@b.example\n"
MEMORY = 120 << 10
"""KiB that a processor may ever have taken (it begins with some 40 MB that it shares with all)."""


def _nested(depth: int) -> bytes:
    parts = (b'Content-Type: multipart/mixed; boundary="%d"\n\n--%d\n' % (n, n) for n in range(depth))
    return TO + b"MIME-Version: 1.0\n" + b"".join(parts) + b"\ndeep\n"


def _messages() -> dict[str, bytes]:
    """Each of them names a recipient, and nothing is to be taken out of it: it has to come out as it is."""
    everybody = b",\n ".join(b"user%d@b.example" % n for n in range(10_000))
    return {
        "no body": TO,
        "no line end": TO + b"\nthe end",
        "a header line of 1 MB": TO + b"X-Long: " + b"x" * (1 << 20) + b"\n\nbody\n",
        "a body line of 8 MB": TO + b"\n" + b"x" * (8 << 20) + b"\n",
        "100,000 fields": TO + b"".join(b"X-%d: y\n" % n for n in range(100_000)) + b"\nbody\n",
        "10,000 recipients": b"To: " + everybody + b"\n\nbody\n",
        "NULs": TO + b"X: \0\0\n\n\0\0\0\nbody\0",
        "bare CR": TO + b"X: a\rb\r\r\n\n\rbody\r\r\n\r",
        "CRLF": (TO + b"X: y\n\nbody\n.\n").replace(b"\n", b"\r\n"),
        "mixed line ends": TO.replace(b"\n", b"\r\n", 1) + b"X: y\r\n\nbody\r\nbody\n",
        "8-bit": TO + b"Subject: \xe4\xf6\xfc \xff\xfe\nX-\xe4: y\n\n" + bytes(range(256)),
        "no header line": TO + b"no colon here\n: no name\n folded\n\nbody\n",
        "a fold first": b" folded\n" + TO + b"\nbody\n",
        "From line": b"From ann@a.example Tue Nov 24 10:00:00 2026\n" + TO + b"\n>From body\n",
        "deep nesting": _nested(5000),
        "missing boundaries": TO + b'Content-Type: multipart/mixed; boundary="b"\n\n--b\n\n--c--\nno end\n',
        "no boundary": TO + b"Content-Type: multipart/mixed\n\n--\n--\n\n",
        "noise": TO + b"\n" + random.Random(1).randbytes(300_000),
        "envelope lines": TO + b"\nP I 01-01-2026 <evil@e.example>\nR W <evil@e.example>\n\nO L v1\n",
        "dots": TO + b"\n.\n..\n.\r\n",
    }


REFUSED = {
    "empty lines": b"\n\n\n",
    "headerless": b"just words, no header at all\n" * 20,
    "noise without header": random.Random(2).randbytes(50_000),
    "a header without end": b"To: bob@b.example\nX: " + b"x" * (5 << 20),
    "NULs only": bytes(10_000),
    "an address of 2 KB": b"To: " + b"x" * 2000 + b"@b.example\n\nbody\n",
    "60,000 recipients": b"To: " + b",".join(b"%d@b.example" % n for n in range(60_000)) + b"\n\nbody\n",
}


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _message(path: Path) -> bytes:
    data = path.read_bytes()
    return bare(data[envelope.head_end(data) :]).removeprefix(ORPHAN + b"\n")


def _peak(pid: int) -> int:
    """KiB of memory that a process had at its largest."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0])


def test_bad_messages_pass_byte_for_byte(trials: Trials, config: Config) -> None:
    """Whatever the bytes: what names a recipient comes out with the digest that it came in with; the rest is refused."""
    messages = _messages()
    with trials(config(processors=2)) as trial:
        for name, data in (messages | REFUSED).items():
            trial.drop(name, data)
        trial.wait(lambda: len(trial.outbound()) == len(messages), "all are enqueued", 60)
        trial.wait(lambda: trial.status()["totals"]["refused"] == len(REFUSED), "the others are refused")
        processors = trial.pids("processor")
        peaks = [_peak(pid) for pid in (*processors, *trial.pids("queue manager"), *trial.pids("filterlink"))]
        came_out = {_digest(_message(path)) for path in trial.outbound()}
        assert trial.status()["totals"]["bad"] == 0

    assert {name for name, data in messages.items() if _digest(data) not in came_out} == set()
    refused = {path.stem for path in (trial.base / "Submitted").glob("*.bad")}
    assert refused == set(REFUSED)
    assert max(peaks) < MEMORY, peaks


def test_fields_are_added_above_any_header(trials: Trials, config: Config) -> None:
    """Where a filter adds a field it is the first; all that was there follows as it was."""
    judged = {
        name: b'X-Judge: 0 ADDHEADER "X-Added: yes"\n' + data for name, data in _messages().items() if len(data) < 100_000
    }  # the helper reads so much
    with trials(config()) as trial:
        for name, data in judged.items():
            trial.drop(name, data)
        trial.wait(lambda: len(trial.outbound()) == len(judged), "all are enqueued", 30)
        came_out = {_digest(_message(path)) for path in trial.outbound()}

    assert came_out == {_digest(b"X-Added: yes\n" + data) for data in judged.values()}


@pytest.mark.parametrize(
    "fields",
    [
        b"Bcc: eve@b.example\n",
        b"Return-Path: <r@b.example>\nEnvelope-To: eve@b.example,\n\tbob@b.example\n",
        b"Envelope-Client: 0 ip=192.0.2.1\n user=root\n",
    ],
)
def test_only_what_the_envelope_takes_out_is_missing(trials: Trials, config: Config, fields: bytes) -> None:
    """Above, between or below the others: the rest of the message stays as it was."""
    rest = [b"Subject: \xff\r\n\tfolded\n", TO, b"X-Odd:\0\r\n"]
    with trials(config()) as trial:
        for at in range(len(rest) + 1):
            trial.drop(str(at), b"".join([*rest[:at], fields, *rest[at:], b"\nBcc: body@b.example\n"]))
        trial.wait(lambda: len(trial.outbound()) == len(rest) + 1, "all are enqueued")

        assert {_message(path) for path in trial.outbound()} == {b"".join(rest) + b"\nBcc: body@b.example\n"}
