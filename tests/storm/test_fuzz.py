"""Run the fuzz storm: hypothesis feeds every parser of bytes from outside. A parser may only return or raise its documented errors.

A parser is a line in PARSERS: its name, its inputs, the function, the errors that its docstring promises. The short form runs
with the suite; `make storm` runs the long form, ENQUEUER_FUZZ_SECONDS for each parser (by default all of them take ten minutes).
"""

import base64
import bz2
import contextlib
import email
import gzip
import io
import itertools
import lzma
import os
import random
import tarfile
import time
import zipfile
from typing import Any

import hypothesis
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from filterlink.filters.command import commandline
from filterlink.filters.content import archive, mime, office
from filterlink.filters.content.archives import unpack
from filterlink.filters.content.limits.member import Budget
from filterlink.filters.content.mail import filenames, readings
from filterlink.filters.runtime import envelope, verdict
from filterlink.filters.runtime.lines import MAX_LINE, Lines
from filterlink.filters.servers import rspamdwire, spamc
from tests.filterlink.filters.content.test_office import CODE, ole, vba
from tests.storm.parsers import WIRES, Parser, woven

TOTAL = 600.0
SLOW = 20.0
"""Seconds of processor time that no input of these sizes may take."""
SHORT = 200
"""Inputs for each parser in the short form."""
LONG = 400
"""Inputs for each parser between two checks of the time in the long form."""


# Inputs


def damaged(*samples: bytes) -> st.SearchStrategy[bytes]:
    """Cut a good file, change some bytes, insert some and append some."""
    change = st.tuples(st.integers(0, 1 << 20), st.binary(max_size=4), st.booleans())
    return st.builds(_damage, st.sampled_from(samples), st.lists(change, max_size=4), st.integers(0, 1 << 20), st.binary(max_size=8))


def _damage(sample: bytes, changes: list[tuple[int, bytes, bool]], cut: int, tail: bytes) -> bytes:
    data = bytearray(sample)
    for place, new, instead in changes:
        at = place % (len(data) + 1)
        data[at : at + len(new) * instead] = new
    return bytes(data[: cut % (2 * len(data) + 1)]) + tail


def zipped(method: int = zipfile.ZIP_DEFLATED) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", method) as file:
        file.writestr("a/b.txt", b"text " * 20)
        file.writestr("c.eml", b"Subject: x\n\nbody")
    return target.getvalue()


def tarred() -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as file:
        info = tarfile.TarInfo("\u00e4.txt")
        info.size = 5
        file.addfile(info, io.BytesIO(b"hello"))
    return target.getvalue()


def named_gzip() -> bytes:
    target = io.BytesIO()
    with gzip.GzipFile("evil.exe", "wb", fileobj=target) as file:
        file.write(b"x" * 100)
    return target.getvalue()


ARCHIVES = (
    zipped(),
    zipped(zipfile.ZIP_STORED),
    zipped(zipfile.ZIP_BZIP2),
    zipped(zipfile.ZIP_LZMA),
    tarred(),
    named_gzip(),
    gzip.compress(tarred()) + gzip.compress(b"x"),
    bz2.compress(b"text " * 20),
    lzma.compress(zipped()),
    lzma.compress(b"text", lzma.FORMAT_ALONE),
    b"\x1f\x9d\x90" + b"abc\x00\x01" * 9,
    b"\x28\xb5\x2f\xfd\x04\x00\x19\x00\x00abc",
    b"070701" + b"0" * 104 + b"a\0",
    b"!<arch>\na/              0           0     0     644     3         `\nabc\n",
    b"7z\xbc\xaf\x27\x1c\0\4" + bytes(40),
    b"Rar!\x1a\x07\0" + bytes(40),
    b"MSCF" + bytes(60),
)
MAIL = (
    *(
        b"\n",
        b"\r\n",
        b"\r",
        b"\n\n",
        b"\r\n\r\n",
        b" ",
        b"\t",
        b": x\n",
        b" x\n",
        b"\n \n",
        b"\0",
        b'"',
        b";",
        b"--b\n",
        b"--b--\n",
        b"--b--",
    ),
    *(b"From a b\n", b"Subject: x\n", b"Content-Type: ", b"content-type:", b"Content-Disposition: ", b"Content-Transfer-Encoding: "),
    *(
        b"multipart/mixed; boundary=b\n",
        b'multipart/mixed; boundary="b',
        b"message/rfc822\n",
        b"text/plain; name*0*=utf-8''a%20",
        b"; name*1=b",
    ),
    *(b"; filename=", b"=?utf-8?b?YQ==?=", b"=?utf-7?q?+2AA-?=", b"=?idna?q?xn--a?=", b"base64\n", b"quoted-printable\n", b"x-uuencode\n"),
    *(base64.encodebytes(each) for each in ARCHIVES[:6]),
    *(b"begin 644 a.exe\n", b"#86)C\n", b"`\nend\n", b"=\n", b"====", b"=41=\n"),
)
HIDDEN = b"the hidden thing"
CODED = (base64.b64encode(HIDDEN), base64.b64encode(HIDDEN) + b"\n", b"the=20hidden=20thing\n", b"Content-Transfer-Encoding: base64\n")
SHOWN = woven(
    *CODED * 8,
    *MAIL[:36],
    *(b"Content-Transfer-Encoding: quoted-printable\n", b"Content-Type: multipart/mixed; boundary=b\n", b"Content-Type: message/rfc822\n"),
)
OFFICE = (
    ole(vba(CODE)),
    b'<?xml version="1.0"?><w:wordDocument xmlns:w="http://schemas.microsoft.com/office/word/2003/wordml"><w:binData w:name="editdata.mso">'
    + base64.encodebytes(b"ActiveMime" + bytes(40) + b"x\x9cK\x04\0\0b\0b")
    + b"</w:binData></w:wordDocument>",
)
ENVELOPE = woven(
    *(b"P I ", b"R W ", b"S ", b"A h ", b"<a@b>", b"<", b">", b"[1.2.3.4]", b"[IPv6:::1]", b"[", b"]", b"SMTP ", b"\n", b"\0", b" "),
    *(b"S SMTP [1.2.3.4]\n", b"\nA h helo=", b" name=", b"%0A", b"%5B", b"%00", b"%"),
)
SAID = st.text(alphabet=st.sampled_from("aF: FOUND\n\r\0\u00e4virus trojan or variant the .NOT a"), max_size=300)
NUMBERS = st.text(alphabet="0123456789,- \u0663", max_size=20)


# Functions under test


def _client(lines: bytes) -> None:
    """What a client calls itself stays in one line of each protocol."""
    found = envelope.read_envelope(lines.split(b"\n"))
    field = spamc.received(found, b"17", 0.0)
    assert field == b"" or (field.endswith(b"\n") and field.count(b"\n") == 1 and field.isascii())
    assert b"\r" not in field
    head = rspamdwire.request(7, found, b"17")
    assert (
        head.count(b"\n")
        == head.count(b"\r\n")
        == 5 + (found.sender is not None) + len(found.recipients) + sum(map(bool, (found.peer, found.name, found.helo, found.account)))
    )


def _parts(message: bytes) -> None:
    for part in mime.parts(message):
        assert len(verdict.reply(verdict.error(part.place))) <= verdict.MAX_REPLY
        assert all(name == filenames.clean_name(name) for name in part.names)


def _as_python(message: bytes) -> None:
    """Check that our parser shows all parts that Python's own parser shows, or reports that there is more."""
    try:
        shown = [each.get_payload(decode=True) for each in email.message_from_bytes(message).walk() if not each.is_multipart()]
    except Exception:  # noqa: BLE001 - that is not our parser
        return
    if any(isinstance(data, bytes) and HIDDEN in data for data in shown):
        assert any(HIDDEN in part.data or part.flag == "limit" for part in mime.parts(message))


def _members(data: bytes) -> None:
    for member in archive.members(data, "a.zip"):
        assert member.flag in ("", "bomb", "limit", "encrypted", "broken", "unopened", "ambiguous")


def _as_zipfile(data: bytes) -> None:
    """Check that our reader shows all members that Python's zipfile shows."""
    shown = []
    with contextlib.suppress(Exception), zipfile.ZipFile(io.BytesIO(data)) as file:
        for info in file.infolist():
            with contextlib.suppress(Exception):
                del info.CRC
                shown.append(file.read(info))
    found = [member.data for member in archive.members(data)] if shown else []
    assert all(any(each in ours for ours in found) for each in shown if each)


def _streams(data: bytes) -> None:
    for kind in ("gzip", "bzip2", "xz", "lzma"):
        list(unpack.stream(data, kind, "a.gz", Budget(len(data))))
    unpack.unopened(data)


def _lines(pieces: list[bytes]) -> None:
    reader = Lines()
    for piece in (*pieces, b""):
        assert all(len(line) <= MAX_LINE for line in reader.feed(piece))


PARSERS = [
    Parser("mime", woven(*MAIL), _parts),
    Parser("as Python", SHOWN, _as_python),
    Parser("mimeheader", woven(*MAIL), lambda data: readings.readings(data, 0, len(data))),
    Parser("archive", damaged(*ARCHIVES), _members),
    Parser("as zipfile", damaged(*ARCHIVES[:3]), _as_zipfile),
    Parser("unpack", damaged(*ARCHIVES), _streams),
    Parser("office", damaged(*OFFICE), lambda data: office.Macros().read(data)),
    Parser("envelope", ENVELOPE, _client),
    Parser("lines", st.lists(woven(b"1 FILE ", b"\n", b"\r\n", b"x" * MAX_LINE), max_size=6), _lines),
    Parser("commandline", SAID, lambda text: [commandline.finding(each, 0, text) for each in commandline.PROFILES.values()]),
    Parser("exit codes", NUMBERS, commandline.codes, (ValueError,)),
    *WIRES,
]
"""The parsers. Add yours here."""


# The storm


def _fed(parser: Parser, inputs: int, seed: int) -> None:
    """Feed a parser; hypothesis shows the smallest input that breaks it."""

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=inputs, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
    )
    @given(parser.strategy)
    def feed(data: Any) -> None:
        began = time.process_time()
        with contextlib.suppress(*parser.errors):
            parser.call(data)
        assert time.process_time() - began < SLOW

    feed()


@pytest.mark.parametrize("parser", PARSERS, ids=lambda parser: parser.name)
def test_no_input_breaks_a_parser(parser: Parser) -> None:
    """The short form: the same inputs each time."""
    _fed(parser, SHORT, 1)


@pytest.mark.storm
@pytest.mark.parametrize("parser", PARSERS, ids=lambda parser: parser.name)
def test_no_input_breaks_a_parser_for_long(parser: Parser) -> None:
    """The long form: new inputs until the time is over."""
    first = int(os.environ.get("ENQUEUER_SEED", random.randrange(1 << 32)))
    end = time.monotonic() + float(os.environ.get("ENQUEUER_FUZZ_SECONDS", TOTAL / len(PARSERS)))
    for seed in itertools.count(first):
        print(f"fuzz {parser.name}: ENQUEUER_SEED={seed}")
        _fed(parser, LONG, seed)
        if time.monotonic() >= end:
            return
