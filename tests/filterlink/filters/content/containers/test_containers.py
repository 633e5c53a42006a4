"""Demands on files that hold files: what mail programs and Windows open is looked at, under each of its names."""

import base64
import functools
import os
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from filterlink.filters.content.archive import is_archive, members
from filterlink.filters.content.containers import containers
from filterlink.filters.content.limits.member import Budget
from filterlink.filters.content.mail import textual
from filterlink.filters.content.mime import parts
from filterlink.filters.content.yara import DEFAULT_RULES, YaraFilter, compile_rules
from tests.filterlink.filters.content.test_yara import zipped
from tests.helpers import boxes, discs, hostile
from tests.helpers.hostile import attached

PAYLOAD = b"MZ\x90\0" + bytes(range(256)) * 3 + b"the payload"
NAME = "invoice.exe"
ENTITY = b"Content-Type: application/octet-stream; name=invoice.exe\nContent-Transfer-Encoding: base64\n\n" + base64.encodebytes(PAYLOAD)
SIGNED = boxes.cms(ENTITY)
WINMAIL = boxes.tnef((0x9002, bytes(14)), (0x8010, NAME.encode() + b"\0"), (0x800F, PAYLOAD))
IN_BOXES: dict[str, tuple[str, bytes]] = {
    "signed": ("smime.p7m", SIGNED),
    "signed, BER in chunks": ("smime.p7m", boxes.cms(ENTITY, indefinite=True, chunk=100)),
    "signed, DER in chunks": ("smime.p7m", boxes.cms(ENTITY, chunk=100)),
    "signed twice": ("smime.p7m", boxes.cms(b"Content-Type: application/pkcs7-mime\n\n" + SIGNED)),
    "signed, as base64": ("smime.p7m", base64.encodebytes(SIGNED)),
    "signed, as PEM": ("a.txt", b"text\n-----BEGIN PKCS7-----\n" + base64.encodebytes(SIGNED) + b"-----END PKCS7-----\n"),
    "winmail": ("winmail.dat", WINMAIL),
    "OLE package": ("a.doc", boxes.ole({("ObjectPool", "_1", "\1Ole10Native"): boxes.package(NAME, PAYLOAD)})),
    "OLE package, large": ("a.doc", boxes.ole({("\1Ole10Native",): boxes.package(NAME, PAYLOAD * 9)})),
    "Outlook message": ("a.msg", boxes.msg(("a.txt", b"text"), (NAME, PAYLOAD))),
    "RTF package": ("a.rtf", boxes.rtf(boxes.package(NAME, PAYLOAD))),
    "PDF": ("a.pdf", boxes.pdf(NAME, PAYLOAD)),
    "PDF, by name": ("a.pdf", boxes.pdf(NAME, PAYLOAD, told=False)),
    "OLE package in a .docx": (
        "a.docx",
        zipped("word/embeddings/oleObject1.bin", boxes.ole({("\1Ole10Native",): boxes.package(NAME, PAYLOAD)})),
    ),
    "winmail in a message in winmail": (
        "winmail.dat",
        boxes.tnef((0x9002, b""), (0x9005, boxes.properties((0x0D, 0x3701, bytes(16) + WINMAIL)))),
    ),
    "BinHex": ("a.hqx", boxes.binhex(NAME, PAYLOAD)),
    "SZDD": ("invoice.ex_", boxes.szdd(PAYLOAD)),
}
IN_DISKS: dict[str, Callable[[], bytes]] = {
    **{name: functools.partial(discs.image, name) for name in discs.IMAGES},
    "UDF": discs.udf,
    "fixed VHD": lambda: discs.fixed_vhd(discs.image("fat12.img")),
    "MBR": lambda: discs.mbr(discs.image("fat12.img")),
    "MBR, logical": lambda: discs.mbr(discs.image("fat12.img"), extended=True),
    "GPT in a VHD": lambda: discs.fixed_vhd(discs.gpt(discs.image("ntfs.img"))),
}
CLAMAV = Path("/usr/share/clamav-testfiles")
FLAGGED = {
    "clam.arj": "unopened",
    "clam.chm": "unopened",
    "clam.sis": "unopened",
    "clam.impl.zip": "unopened",
}
"""Those of ClamAV's files in which the program is not found, and the flag."""


@pytest.fixture(scope="module")
def shipped() -> YaraFilter:
    return YaraFilter(compile_rules([str(DEFAULT_RULES)]))


@pytest.mark.parametrize("kind", IN_BOXES)
def test_what_is_in_it_is_looked_at(kind: str) -> None:
    """As an attachment: content and name."""
    found = list(parts(attached(IN_BOXES[kind])))

    assert is_archive(IN_BOXES[kind][1])
    assert any(PAYLOAD in part.data and part.data.startswith(PAYLOAD[:4]) for part in found)
    assert NAME in {name for part in found for name in part.names}
    assert not [part.flag for part in found if part.flag]


@pytest.mark.parametrize("kind", IN_DISKS)
def test_files_of_a_disk_are_looked_at(kind: str) -> None:
    """By any filesystem that is in it, with their own names."""
    data = IN_DISKS[kind]()
    found = list(members(data, "a.img"))

    assert is_archive(data)
    assert PAYLOAD in [member.data for member in found]
    assert NAME in {member.name.rpartition("/")[2].lower() for member in found}
    assert not [member.flag for member in found if member.flag]


@pytest.mark.parametrize("name", ["disc_circles", "fat_circles"])
def test_what_goes_beyond_a_limit_is_flagged(name: str) -> None:
    """Folders and chains without end; the flag comes last."""
    assert list(parts(hostile.MESSAGES[name]()))[-1].flag in ("limit", "bomb")


@pytest.mark.parametrize("kind", IN_DISKS)
def test_damaged_disks_never_raise(kind: str) -> None:
    """Bytes changed where the tables are."""
    data = IN_DISKS[kind]()
    used = [at for at in range(0, len(data), 512) if any(data[at : at + 512])]
    random = Random(kind)
    for _ in range(60):
        at = random.choice(used) + random.randrange(512)
        list(members(data[:at] + random.randbytes(random.choice((1, 4, 32))) + data[at + 4 :], "a"))


@pytest.mark.parametrize("kind", IN_BOXES)
def test_damaged_ones_never_raise(kind: str) -> None:
    """Cut, or with a byte changed."""
    data = IN_BOXES[kind][1]
    for at in range(0, len(data), max(1, len(data) // 150)):
        list(members(data[:at], "a"))
        list(members(data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :], "a"))


def test_a_text_is_none() -> None:
    assert not containers.is_container(b"just a text with begin 644 x and BinHex in it")
    assert not list(containers.opened(b"text", "a", Budget(4)))


def clamav() -> list[str]:
    return sorted(os.listdir(CLAMAV)) if CLAMAV.is_dir() else ["clam.exe"]


@pytest.mark.server
@pytest.mark.parametrize("name", clamav())
def test_clamavs_harmless_files(shipped: YaraFilter, name: str) -> None:
    """The program in each is found by its content, or the file is flagged."""
    if not CLAMAV.is_dir():
        pytest.skip("clamav-testfiles is not installed")
    data = (CLAMAV / name).read_bytes()
    message = data if data.startswith(b"From") else attached(("attached", data))
    findings = [each.rule for each in shipped._findings(message, time.monotonic() + 60)]
    flags = {part.flag for part in parts(message)} - {""}

    if name in FLAGGED:
        assert FLAGGED[name] in flags
    elif name == "clam_cache_emax.tgz":
        assert "Beyond_Limits" in findings
    elif name == "clam.exe.html":
        assert clam_exe_in_a_link(data)
    else:
        assert "Executable_Windows" in findings


def clam_exe_in_a_link(data: bytes) -> bool:
    return any(content.startswith(b"MZP") for _, content in textual.find(data))
