"""Ask other readers of mail which files they find in a message. Readers that are not installed are left out.

A reader takes many messages at once, and answers with a list of files for each. The list is empty for a message that it cannot
read, over which it dies, or which takes too long.
"""

import contextlib
import email
import email.policy
import itertools
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["File", "Reader", "readers", "written"]

HERE = Path(__file__).parent
SECONDS = 60
"""Seconds for one batch of messages."""
MOST_DEATHS = 50
SECONDS_ONE = 5
"""Seconds for one message, if each message has its own process."""


class File(NamedTuple):
    name: str
    data: bytes


class Reader(NamedTuple):
    """A program that finds files in messages."""

    name: str
    read: Callable[[Sequence[bytes]], list[list[File]]]


def readers() -> list[Reader]:
    """List the readers that are installed."""
    found = [Reader("email", _each(_email_old)), Reader("email.default", _each(_email_new))]
    if Path("/usr/share/perl5/MIME/Parser.pm").exists():
        found.append(Reader("MIME::Parser", lambda messages: _batch(["/usr/bin/perl", str(HERE / "mime_parser.pl")], "0", messages)))
        found.append(Reader("MIME::Parser uu", lambda messages: _batch(["/usr/bin/perl", str(HERE / "mime_parser.pl")], "1", messages)))
    if list(Path("/usr/lib").glob("*/girepository-1.0/GMime-3.0.typelib")) and Path("/usr/lib/python3/dist-packages/gi").exists():
        gmime = ["/usr/bin/python3", "-I", str(HERE / "gmime.py")]
        found.append(Reader("GMime", lambda messages: _batch(gmime, "loose", messages)))
        found.append(Reader("GMime strict", lambda messages: _batch(gmime, "strict", messages)))
    if shutil.which("munpack"):
        found.append(Reader("munpack", lambda messages: _one_by_one(["munpack", "-f", "-q", "-t"], messages)))
    if shutil.which("ripmime"):
        found.append(Reader("ripmime", lambda messages: _one_by_one(["ripmime", "-i", "-", "-d", "."], messages)))
    return found


# Python's own


def _each(read: Callable[[bytes], list[File]]) -> Callable[[Sequence[bytes]], list[list[File]]]:
    return lambda messages: [read(message) for message in messages]


def _email_old(message: bytes) -> list[File]:
    return _email(message, email.policy.compat32)


def _email_new(message: bytes) -> list[File]:
    return _email(message, email.policy.default)


def _email(message: bytes, policy: Any) -> list[File]:
    found: list[File] = []
    try:
        for part in email.message_from_bytes(message, policy=policy).walk():
            if not part.is_multipart():
                found.append(File(_told(part.get_filename), _told(lambda part=part: part.get_payload(decode=True)) or b""))  # type: ignore[misc]
    except Exception:  # noqa: BLE001 S110 - it raises what it likes at broken mail
        pass
    return found


def _told(ask: Callable[[], Any]) -> Any:
    try:
        return ask() or ""
    except Exception:  # noqa: BLE001 - as above
        return ""


# Programs that take a file of messages


def _batch(command: list[str], option: str, messages: Sequence[bytes]) -> list[list[File]]:
    """Ask about all messages. If the program dies over one, go on after that. After MOST_DEATHS the other messages have no files."""
    answers: list[list[File]] = []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(MOST_DEATHS):
            if len(answers) == len(messages):
                break
            source = Path(folder, "messages")
            source.write_bytes(b"".join(b"%d\n%b" % (len(message), message) for message in messages[len(answers) :]))
            with Path(folder, "answers").open("w+b") as target:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    words = [*command, str(source), option]
                    subprocess.run(words, stdout=target, stderr=subprocess.DEVNULL, timeout=SECONDS, cwd=folder, check=False)
                target.seek(0)
                answers += _answers(target)
            answers += [[]] * (len(answers) < len(messages))
    return answers + [[]] * (len(messages) - len(answers))


def _answers(file: Any) -> Iterator[list[File]]:
    while (line := file.readline()).endswith(b"\n"):
        found: list[File] = []
        for _ in range(int(line)):
            lengths = file.readline().split()
            if len(lengths) != 2:
                return
            name = file.read(int(lengths[0]))
            data = file.read(int(lengths[1]))
            if len(data) < int(lengths[1]):
                return
            found.append(File(name.decode("utf-8", "replace"), data))
        yield found


# Programs that take one message and write files into a folder


def _one_by_one(command: list[str], messages: Sequence[bytes]) -> list[list[File]]:
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(_unpacked, itertools.repeat(command), messages))


def _unpacked(command: list[str], message: bytes) -> list[File]:
    with tempfile.TemporaryDirectory() as folder:
        try:
            subprocess.run(command, input=message, capture_output=True, timeout=SECONDS_ONE, cwd=folder, check=False)
        except subprocess.TimeoutExpired:
            return []
        return list(written(Path(folder)))


def written(folder: Path) -> Iterator[File]:
    """Yield the files that a program wrote into a folder."""
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            yield File(path.relative_to(folder).as_posix(), path.read_bytes())
