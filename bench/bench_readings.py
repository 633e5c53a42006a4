"""The built-in filter: what do three readers of mail cost, and what does the grammar save?

8 KiB of ordinary mail with a text, an HTML text and an attachment follows the grammar of filterlink/filters/content/mail/strict.py,
and is read once. The same mail with a comment in one type is read by all three readers. The peers are the email package alone,
which reads and decodes the parts, and our own reader alone. One process, without the helper around it.
"""

import base64
import email
import json
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench.record import note, sample
from filterlink.filters.content import mime
from filterlink.filters.content.yara import DEFAULT_RULES, YaraFilter, compile_rules

LINE = b"The quick brown fox jumps over the lazy dog, and the lazy dog does not mind.\r\n"
MESSAGES = 200


def ordinary() -> bytes:
    """Return a message of 8 KiB, as mail programs write it."""
    received = b"Received: from a.example.com by b.example.com; Tue, 24 Nov 2026 06:40:00 +0000\r\n" * 4
    attached = base64.encodebytes(random.Random(1).randbytes(2500)).replace(b"\n", b"\r\n")
    return (
        received
        + b"From: Ann <ann@example.com>\r\nTo: Bob <bob@example.org>\r\nSubject: a test message\r\nMIME-Version: 1.0\r\n"
        + b'Content-Type: multipart/mixed; boundary="=_outer"\r\n\r\n'
        + b'--=_outer\r\nContent-Type: multipart/alternative; boundary="=_inner"\r\n\r\n'
        + b"--=_inner\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
        + LINE * 18
        + b"--=_inner\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>"
        + LINE * 24
        + b'--=_inner--\r\n--=_outer\r\nContent-Type: application/pdf; name="a.pdf"\r\nContent-Transfer-Encoding: base64\r\n'
        + b'Content-Disposition: attachment; filename="a.pdf"\r\n\r\n'
        + attached
        + b"--=_outer--\r\n"
    )


ORDINARY = ordinary()
ODD = ORDINARY.replace(b"application/pdf;", b"application/pdf (x);")


def _email() -> None:
    for part in email.message_from_bytes(ORDINARY).walk():
        part.get_payload(decode=True)


def _judge(folder: Path, message: bytes) -> Callable[[], object]:
    file = folder / "message.eml"
    file.write_bytes(message)
    shipped = YaraFilter(compile_rules([str(DEFAULT_RULES)]))
    return lambda: shipped.judge(str(file))


WORK: dict[str, Callable[[Path], Callable[[], object]]] = {
    "the email package alone": lambda _: _email,
    "parts, ordinary mail": lambda _: lambda: list(mime.parts(ORDINARY)),
    "parts, all readers": lambda _: lambda: list(mime.parts(ODD)),
    "verdict, ordinary mail": lambda folder: _judge(folder, ORDINARY),
    "verdict, all readers": lambda folder: _judge(folder, ODD),
}


@pytest.mark.benchmark(group="reading 8 KiB of mail, one process")
@pytest.mark.parametrize("work", WORK)
def test_reading(benchmark: BenchmarkFixture, work: str, tmp_path: Path) -> None:
    """Measure messages a second of one process."""
    call = WORK[work](tmp_path)

    def rounds() -> None:
        for _ in range(MESSAGES):
            call()

    note(benchmark, {"work": work}, messages=MESSAGES)
    benchmark.pedantic(rounds, rounds=5, warmup_rounds=1)  # type: ignore[no-untyped-call]


LARGE = """
import json, resource, sys, time
from filterlink.filters.content.yara import DEFAULT_RULES, YaraFilter, compile_rules
shipped = YaraFilter(compile_rules([str(DEFAULT_RULES)]))
began = time.monotonic()
verdict = shipped.judge(sys.argv[1])
print(json.dumps([verdict.word, time.monotonic() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))
"""


@pytest.mark.benchmark(group="reading 20 MiB of mail, a process of its own")
@pytest.mark.parametrize("kind", ["ordinary", "all readers", "all readers, text"])
def test_large(benchmark: BenchmarkFixture, kind: str, tmp_path: Path) -> None:
    """Measure the seconds until the verdict, and the peak memory of the process."""
    attached = base64.encodebytes(random.Random(1).randbytes(15 << 20)).replace(b"\n", b"\r\n")
    head, _, _ = (ORDINARY if kind == "ordinary" else ODD).rpartition(b"\r\n\r\n")
    file = tmp_path / "message.eml"
    file.write_bytes(
        b"Content-Type: text/plain (x)\r\n\r\n" + LINE * 270_000 if "text" in kind else head + b"\r\n\r\n" + attached + b"--=_outer--\r\n"
    )

    def once() -> None:
        done = subprocess.run([sys.executable, "-c", LARGE, str(file)], check=True, capture_output=True)
        word, seconds, peak = json.loads(done.stdout)
        assert word == "OK"
        sample(benchmark, {"verdict s": seconds, "peak MiB": peak})

    note(benchmark, {"mail": kind})
    benchmark.pedantic(once, rounds=3)  # type: ignore[no-untyped-call]
