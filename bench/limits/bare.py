"""The bare loop: the same durable work as the engine's and nothing else, as a measure of what the engine costs.

    python -m bench.limits.bare --processors 4 --messages 10000 --size 8192 --helper noop --durability group

A message takes the engine's way: claimed by a rename, read, written to Queue/ with an envelope, scanned through a multiplexer by a
helper program, staged with one header field more (--links: unchanged, as a hard link), synced in groups, published by a rename, its
source unlinked last. The loop has no rules, lanes, log, recovery, limits, scoreboard or watcher, it trusts every answer, and it knows
one filter. All messages are in the drop folder before the clock starts. One JSON line reports its rate, and
the CPU of each process. Compare only runs on the same filesystem, in turns (`python -m bench ratio`).

Differences: ids are 1, 2, 3; the digest is computed before the file is written, not patched in; Queue/<id>.msg gets its name at once.
"""

import argparse
import contextlib
import ctypes
import hashlib
import json
import os
import re
import resource
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from bench.limits.crew import Channel, Crew
from bench.mail import message

HELPER = Path(__file__).parent.parent / "helper.py"
FOLDERS = ("Submitted/.taken", "Queue", "Staged", "Outbound/OUT")
FRAME = 1 << 16
BATCH = 1000
"""The most messages that are synced together; their frame must be shorter than FRAME."""
LINGER = 0.01
"""Seconds between the beginnings of two syncs, as in the engine."""
ADDRESS = re.compile(rb"^(return-path|to|cc):[^<\n]*<?([^\s<>,]+@[^\s<>,]+)", re.IGNORECASE | re.MULTILINE)

encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder().decode
Job = tuple[int, str]
"""Id of a message, name of its drop."""


def taken(id: int, name: str) -> str:
    return f"Submitted/.taken/{id}.{name}"


# ---- a processor


def processor(jobs: Channel, questions: Channel, links: bool) -> None:
    while frame := jobs.recv(FRAME):
        id, name = decode(frame)
        data = read(taken(id, name))
        envelope = envelope_of(data)
        write(f"Queue/{id}.msg", (envelope, data))
        questions.send(encode((id, f"Queue/{id}.msg")))
        _, verdict = decode(questions.recv(FRAME))
        if links:
            os.link(f"Queue/{id}.msg", f"Staged/{id}.msg")
        else:
            write(f"Staged/{id}.msg", (envelope, b"X-Verdict: %s\n" % verdict.encode(), data))
        jobs.send(frame)


def read(path: str) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        size = os.fstat(fd).st_size
        data = os.read(fd, size)
        if len(data) != size:
            raise OSError(f"{path}: {len(data)} bytes read of {size}")
        return data
    finally:
        os.close(fd)


def envelope_of(data: bytes) -> bytes:
    """Return sender, recipients, length and digest, and the empty line."""
    found = ADDRESS.findall(data, 0, data.find(b"\n\n") + 1)
    senders = [b"P I <%s>\n" % address for name, address in found if name.lower() == b"return-path"]
    recipients = [b"R W <%s>\n" % address for name, address in found if name.lower() != b"return-path"]
    mark = b"O L v1 %015d %s\n" % (len(data), hashlib.sha256(data).hexdigest()[:32].encode())
    return b"".join((*senders[:1], mark, *recipients, b"\n"))


def write(path: str, parts: Sequence[bytes]) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
    try:
        if os.writev(fd, parts) != sum(map(len, parts)):
            raise OSError(f"{path}: not written whole")
    finally:
        os.close(fd)


# ---- the multiplexer


def multiplexer(clients: Sequence[Channel], to_helper: int, from_helper: int) -> None:
    """Put the questions of all clients into one pipe, numbered; give each its answer. Ends when the helper has ended."""
    poll = select.epoll()
    by_fd = {client.fileno(): client for client in clients}
    asked: dict[bytes, tuple[Channel, int]] = {}
    number = 0
    tail = b""
    for fd in (*by_fd, from_helper):
        poll.register(fd, select.EPOLLIN)
    while by_fd:
        lines = []
        for fd, _ in poll.poll():
            if fd == from_helper:
                *answers, tail = (tail + os.read(fd, FRAME)).split(b"\n")
                for line in answers:
                    n, _, verdict = line.partition(b" ")
                    client, id = asked.pop(n)
                    client.send(encode((id, verdict.decode())))
            elif frame := by_fd[fd].recv(FRAME):
                id, path = decode(frame)
                number += 1
                n = b"%d" % number
                asked[n] = by_fd[fd], id
                lines.append(b"%s FILE %s\n" % (n, path.encode()))
            else:
                poll.unregister(fd)
                del by_fd[fd]
        if lines:
            os.write(to_helper, b"".join(lines))


# ---- the queue manager and its committer


def committer(channel: Channel, durability: str) -> None:
    """Make each batch of (id, drop) durable, publish it and forget it."""
    libc = ctypes.CDLL(None, use_errno=True)
    here = os.open(".", os.O_RDONLY)
    while frame := channel.recv(FRAME):
        batch = decode(frame)
        if durability == "each":
            sync_each([f"Staged/{id}.msg" for id, _ in batch], "Staged")
        elif durability == "group" and libc.syncfs(here):
            raise OSError(ctypes.get_errno(), "syncfs")
        for id, _ in batch:
            os.rename(f"Staged/{id}.msg", f"Outbound/OUT/{id}.msg")
        if durability == "each":
            sync_each([], "Outbound/OUT")
        for id, name in batch:
            os.unlink(f"Queue/{id}.msg")
            os.unlink(taken(id, name))  # the source goes last
        channel.send(b"done")


def sync_each(files: Sequence[str], folder: str) -> None:
    for path in (*files, folder):
        fd = os.open(path, os.O_RDONLY)
        os.fsync(fd)
        os.close(fd)


class Manager:
    """Claims and dispatches, oldest first; collects the processors' results for the committer."""

    def __init__(self, processors: Sequence[Channel], commits: Channel, durability: str) -> None:
        self._processors = {channel.fileno(): channel for channel in processors}
        self._idle = deque(processors)
        self._commits = commits
        self._linger = LINGER if durability == "group" else 0
        self._waiting: deque[Job] = deque()
        self._gathered: list[Job] = []
        self._committing = 0
        self._not_before = 0.0

    def run(self, messages: int) -> None:
        poll = select.epoll()
        pause = None
        left = messages
        for fd in (*self._processors, self._commits.fileno()):
            poll.register(fd, select.EPOLLIN)
        self._look()
        while left:
            self._dispatch()
            for fd, _ in poll.poll(pause):
                if fd in self._processors:
                    self._gathered.append(decode(self._processors[fd].recv(FRAME)))
                    self._idle.append(self._processors[fd])
                else:
                    self._commits.recv(FRAME)
                    left -= self._committing
                    self._committing = 0
            pause = self._commit()

    def _look(self) -> None:
        names = sorted(name for name in os.listdir("Submitted") if name.endswith(".eml"))
        self._waiting.extend(enumerate(names, 1))

    def _dispatch(self) -> None:
        while self._idle and self._waiting:
            id, name = self._waiting.popleft()
            os.rename(f"Submitted/{name}", taken(id, name))
            self._idle.popleft().send(encode((id, name)))

    def _commit(self) -> float | None:
        """Hand over the collected results, or return the seconds until that is allowed (None: until something happens)."""
        now = time.monotonic()
        if not self._gathered or self._committing or now < self._not_before:
            return self._not_before - now if self._gathered and not self._committing else None
        batch = self._gathered[:BATCH]
        self._gathered = self._gathered[BATCH:]
        self._commits.send(encode(batch))
        self._committing = len(batch)
        self._not_before = now + self._linger
        return None


# ---- all of it


@contextlib.contextmanager
def base_directory(given: str) -> Iterator[None]:
    """Work in a base directory: `given`, which stays, or one under $TMPDIR, which is removed."""
    base = given or tempfile.mkdtemp(prefix="enqueuer-bare-")
    os.chdir(base)
    for folder in FOLDERS:
        Path(folder).mkdir(parents=True, exist_ok=True)
    yield
    if not given:
        os.chdir("/")
        shutil.rmtree(base)
        os.sync()


def measure(options: argparse.Namespace) -> dict[str, Any]:
    crew = Crew()
    jobs, asks = ([crew.pair() for _ in range(options.processors)] for _ in "ab")
    probe, probed = crew.pair()
    ours, its = crew.pair()
    with subprocess.Popen([sys.executable, HELPER, options.helper], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as helper:
        assert helper.stdin is not None
        assert helper.stdout is not None
        pipes = (helper.stdin.fileno(), helper.stdout.fileno())
        clients = [theirs for _, theirs in asks] + [probed]
        crew.fork("multiplexer", clients, partial(multiplexer, clients, *pipes))
        helper.stdin.close()
        for n, ((_, job), (ask, _)) in enumerate(zip(jobs, asks, strict=True)):
            crew.fork(f"processor {n}", (job, ask), partial(processor, job, ask, options.links))
        crew.fork("committer", [its], partial(committer, its, options.durability))
        probe.send(encode((0, "none")))
        probe.recv(FRAME)  # the helper answers: from here on all is warm
        crew.keep(ours, *(mine for mine, _ in jobs))
        begun = time.monotonic()
        before = resource.getrusage(resource.RUSAGE_SELF)
        Manager([mine for mine, _ in jobs], ours, options.durability).run(options.messages)
        seconds = time.monotonic() - begun
        own = resource.getrusage(resource.RUSAGE_SELF)
        crew.keep()
        used = crew.reap()
    used["manager"] = {"user": own.ru_utime - before.ru_utime, "system": own.ru_stime - before.ru_stime}
    cpu = {name: {kind: round(s / options.messages * 1e6, 1) for kind, s in of.items()} for name, of in used.items()}
    return {"msgs_per_s": round(options.messages / seconds, 1), "seconds": round(seconds, 3), "cpu_us_per_message": cpu}


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m bench.limits.bare", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--processors", type=int, default=4)
    parser.add_argument("--messages", type=int, default=10000)
    parser.add_argument("--size", type=int, default=8192, help="bytes of each message")
    parser.add_argument("--helper", default="noop", help="noop, header, sleep:MS or busy:MS")
    parser.add_argument("--durability", choices=("group", "each", "off"), default="group")
    parser.add_argument("--links", action="store_true", help="mail goes on unchanged: a hard link, no copy")
    parser.add_argument("--base", default="", help="an existing folder, with or without messages in Submitted/; it is kept")
    options = parser.parse_args()
    with base_directory(options.base):
        if not any(name.endswith(".eml") for name in os.listdir("Submitted")):
            for n in range(options.messages):
                write(f"Submitted/{n:07}.eml", (message(options.size),))
            os.sync()
        figures = measure(options)
        if len(os.listdir("Outbound/OUT")) != options.messages or os.listdir("Queue") or os.listdir("Submitted/.taken"):
            sys.exit("not every message is in Outbound, once")
    print(json.dumps(vars(options) | figures))


if __name__ == "__main__":
    main()
