"""Run `enqueuer filter yara --self-test`: show what the built-in filter can open on this machine, and test that it does."""

import platform
import shutil
import tempfile
import textwrap
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from enqueuer import exits
from enqueuer.lab.samples import SampleMessage, samples
from filterlink.filters.content import office
from filterlink.filters.content.archives import unpack
from filterlink.filters.content.yara import DEFAULT_RULES, YaraFilter, compile_rules, lacking

__all__ = ["run"]

OPENED = (
    ("archives", "zip, gzip, bzip2, xz, lzma, zlib and tar"),
    ("containers", "S/MIME, winmail.dat, .msg and OLE, RTF, PDF, OneNote, BinHex, SZDD; uuencode, yEnc and data: links in texts"),
    ("disk images", "ISO 9660, UDF, FAT, exFAT, NTFS; in VHD and VHDX, too"),
)


def run() -> int:
    """Print the result; return the exit code: 0 if each made message gets the right verdict."""
    for name, text in _there():
        _show(name, text)
    for text in lacking():
        _show("missing", text)
    tried = [sample for sample in samples() if sample.expect != "refused"]  # the rules ask a filter for these
    wrong = list(_wrong(tried))
    for sample, said in wrong:
        _show("WRONG", f"{sample.name} ({sample.why}): should be {sample.expect}, but the filter says {said}")
    dangerous = sum(sample.expect == "quarantined" for sample in tried)
    _show("tried", f"{dangerous} dangerous messages and {len(tried) - dangerous} others: {len(wrong) or 'none'} wrong")
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


def _show(name: str, text: str) -> None:
    """Print one fact, in lines that fit the terminal."""
    width = max(40, shutil.get_terminal_size().columns)
    print(
        textwrap.fill(
            text, width, initial_indent=f"{name:<11} ", subsequent_indent=" " * 12, break_long_words=False, break_on_hyphens=False
        )
    )


def _wrong(tried: list[SampleMessage]) -> Iterator[tuple[SampleMessage, str]]:
    shipped = YaraFilter(compile_rules([str(DEFAULT_RULES)]))
    with tempfile.TemporaryDirectory(prefix="enqueuer-self-test-") as folder:
        file = Path(folder) / "message"
        for sample in tried:
            file.write_bytes(sample.data)
            found = shipped.judge(str(file))
            if (found.word == "ERROR") != (sample.expect == "quarantined"):
                yield sample, f"{found.word} {found.text}".strip()
