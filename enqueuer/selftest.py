"""`enqueuer filter yara --self-test`: what the filter in the box can open on this machine, and whether it does."""

import platform
import tempfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from enqueuer import exits
from enqueuer.samples import Sample, samples
from filterlink.filters import office, unpack
from filterlink.filters.yara import DEFAULT_RULES, YaraFilter, compile_rules, lacking

__all__ = ["run"]

OPENED = (
    ("archives", "zip, gzip, bzip2, xz, lzma, zlib and tar by readers of ours"),
    ("containers", "S/MIME, winmail.dat, .msg and OLE, RTF, PDF, BinHex, SZDD, uuencode, yEnc and data: links by readers of ours"),
)


def run() -> int:
    """Print it, and return the exit code: 0 where each made message gets the verdict that it should."""
    for name, text in _there():
        print(f"{name:<11} {text}")
    for text in lacking():
        print(f"{'missing':<11} {text}")
    wrong = list(_wrong(samples()))
    for sample, said in wrong:
        print(f"{'WRONG':<11} {sample.name} ({sample.why}): should be {sample.expect}, and the filter says {said}")
    dangerous = sum(sample.expect == "quarantined" for sample in samples())
    print(f"{'tried':<11} {dangerous} dangerous messages and {len(_tried(samples())) - dangerous} others: {len(wrong) or 'none'} wrong")
    return exits.SOFTWARE if wrong else exits.OK


def _there() -> Iterator[tuple[str, str]]:
    yield "mail", f"three readers: ours, Python's email package {platform.python_version()}, fast-mail-parser {version('fast-mail-parser')}"
    yield from OPENED
    yield "Deflate64", f"inflate64 {version('inflate64')}"
    if unpack.available():
        yield "libarchive", f"{unpack.library_version()}: zip and tar once more; 7z, rar, cab, iso, cpio, ar, lha, xar, zstd, lz4, lzip, .Z"
    if office.available():
        yield "macros", f"oletools {version('oletools')}"
    yield "rules", f"YARA-X {version('yara-x')}, {DEFAULT_RULES}"


def _tried(made: list[Sample]) -> list[Sample]:
    """Those that reach a filter."""
    return [sample for sample in made if sample.expect != "refused"]


def _wrong(made: list[Sample]) -> Iterator[tuple[Sample, str]]:
    shipped = YaraFilter(compile_rules([str(DEFAULT_RULES)]))
    with tempfile.TemporaryDirectory(prefix="enqueuer-self-test-") as folder:
        file = Path(folder) / "message"
        for sample in _tried(made):
            file.write_bytes(sample.data)
            found = shipped.judge(str(file))
            if (found.word == "ERROR") != (sample.expect == "quarantined"):
                yield sample, f"{found.word} {found.text}".strip()
