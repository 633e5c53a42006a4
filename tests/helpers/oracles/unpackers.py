"""Ask other programs which files they find in archives and containers. Programs that are not installed are left out."""

import bz2
import contextlib
import gzip
import io
import lzma
import os
import shutil
import signal
import subprocess
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from tests.helpers.oracles.readers import SECONDS, SECONDS_ONE, File, written

__all__ = ["Unpacker", "unpackers"]

SEVEN = shutil.which("7zz") or shutil.which("7z") or ""
DISKS = (".vhd", ".img", ".ima", ".vhdx", ".vmdk")
BATCH = 60
"""Files for one call of 7z."""
MOST = 1 << 20
"""Most bytes of one file that is unpacked here."""


class Unpacker(NamedTuple):
    """A program that opens files."""

    name: str
    unpack: Callable[[Sequence[File]], list[list[File]]]


def unpackers() -> list[Unpacker]:
    """List the unpackers that are installed."""
    found = [Unpacker("python", lambda files: [list(_python(file.data)) for file in files])]
    if SEVEN:
        found.append(Unpacker("7z", _seven))
    commands = {
        "unzip": (["unzip", "-o", "-qq", "FILE", "-d", "out"], b"PK"),
        "bsdtar": (["bsdtar", "-x", "-f", "FILE", "-C", "out"], b""),
        "tnef": (["tnef", "--overwrite", "-C", "out", "-f", "FILE"], b"\x78\x9f\x3e\x22"),
    }
    found += [Unpacker(name, _files_of(*command)) for name, command in commands.items() if shutil.which(name)]
    openssl = ["openssl", "cms", "-verify", "-noverify", "-in", "FILE", "-inform"]
    outputs = {
        "gzip": (["gzip", "-dc", "FILE"], b"\x1f", ""),
        "openssl": ([*openssl, "DER"], b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07", "signed.eml"),  # what is signed is a part of a message
        "openssl PEM": ([*openssl, "PEM"], b"-----BEGIN", "signed.eml"),
    }
    found += [Unpacker(name, _output_of(*command)) for name, command in outputs.items() if shutil.which(command[0][0])]
    return found


# Python's own


def _python(data: bytes) -> Iterator[File]:
    for read in (_zip, _tar, _streams):
        with contextlib.suppress(Exception):
            yield from read(data)


def _zip(data: bytes) -> Iterator[File]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for info in archive.infolist():
            with contextlib.suppress(Exception), archive.open(info) as file:
                yield File(info.filename, file.read(MOST))


def _tar(data: bytes) -> Iterator[File]:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        for info in archive:
            if info.isfile() and (file := archive.extractfile(info)):
                yield File(info.name, file.read(MOST))


def _streams(data: bytes) -> Iterator[File]:
    openers: list[Any] = [lambda source: gzip.GzipFile(fileobj=source), bz2.BZ2File]
    openers += [lzma.LZMAFile] if data.startswith((b"\xfd7zXZ", b"\x5d\0\0")) else []  # it takes anything for the oldest kind
    for opener in openers:
        with contextlib.suppress(Exception), opener(io.BytesIO(data)) as file:
            yield File("", file.read(MOST))
    with contextlib.suppress(zlib.error):
        yield File("", zlib.decompressobj(47).decompress(data, MOST))


# Programs


def _run(command: list[str], seconds: float, folder: str) -> bytes:
    """Return the output of the program. At the end of its time it and its children are ended."""
    environment = {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8", "HOME": folder, "UNZIP_DISABLE_ZIPBOMB_DETECTION": "FALSE"}
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=folder,
        env=environment,
        start_new_session=True,
    )
    try:
        return process.communicate(timeout=seconds)[0]
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return b""


def _seven(files: Sequence[File]) -> list[list[File]]:
    """Open files with 7z, each disk alone: 7z also opens the partition in it, and names the folder after that."""
    found: dict[int, list[File]] = {}
    disks = [number for number, file in enumerate(files) if file.name.endswith(DISKS)]
    others = [number for number in range(len(files)) if number not in disks]
    batches = [[number] for number in disks] + [others[at : at + BATCH] for at in range(0, len(others), BATCH)]
    with ThreadPoolExecutor(2) as pool:
        answers = pool.map(_seven_batch, [[files[number] for number in batch] for batch in batches])
        for batch, answer in zip(batches, answers, strict=True):
            found |= zip(batch, answer, strict=True)
    return [found[number] for number in range(len(files))]


def _seven_batch(files: Sequence[File]) -> list[list[File]]:
    """Open many files with one process, each into its own folder. If one takes too long, the whole batch has no answers."""
    with tempfile.TemporaryDirectory() as folder:
        names = [_put(folder, number, file) for number, file in enumerate(files)]
        _run([SEVEN, "x", "-y", "-bd", "-bb0", "-pnone", "-aou", "-o" + folder + "/out/*", folder + "/in/*"], SECONDS, folder)
        if len(files) == 1:
            return [list(written(Path(folder, "out")))]
        outs = [Path(folder, "out", name) for name in names]
        outs = [out if out.is_dir() else out.with_suffix("") for out in outs]
        return [list(written(out)) if out.is_dir() else [] for out in outs]


def _put(folder: str, number: int, file: File) -> str:
    suffix = "".join(char for char in (PurePosixPath(file.name).suffix or file.name) if char.isalnum())[:8] or "bin"
    place = Path(folder, "in")
    place.mkdir(exist_ok=True)
    Path(place, f"file{number}.{suffix}").write_bytes(file.data)
    return f"file{number}.{suffix}"


def _files_of(command: list[str], magic: bytes) -> Callable[[Sequence[File]], list[list[File]]]:
    def unpack(file: File) -> list[File]:
        if magic not in file.data:
            return []
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "out").mkdir()
            _run(["in/" + _put(folder, 0, file) if word == "FILE" else word for word in command], SECONDS_ONE, folder)
            return list(written(Path(folder, "out")))

    return _in_threads(unpack)


def _output_of(command: list[str], magic: bytes, name: str) -> Callable[[Sequence[File]], list[list[File]]]:
    def unpack(file: File) -> list[File]:
        if magic not in file.data[:4096]:
            return []
        with tempfile.TemporaryDirectory() as folder:
            out = _run(["in/" + _put(folder, 0, file) if word == "FILE" else word for word in command], SECONDS_ONE, folder)
            return [File(name, out)] if out else []

    return _in_threads(unpack)


def _in_threads(unpack: Callable[[File], list[File]]) -> Callable[[Sequence[File]], list[list[File]]]:
    def unpack_all(files: Sequence[File]) -> list[list[File]]:
        with ThreadPoolExecutor(2) as pool:
            return list(pool.map(unpack, files))

    return unpack_all
