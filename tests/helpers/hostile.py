"""Make mail that attacks a content filter: it costs much time or memory, or makes the scan end too early.

`MESSAGES[name]()` makes the bytes of a message. No message is slow for the shipped filters; the tests check that.
"""

import base64
import gzip
import io
import os
import struct
import zipfile
import zlib
from collections.abc import Callable

from inflate64 import Deflater

from tests.helpers.archives import central, descriptor, end, local, tarred, zipped
from tests.helpers.boxes import cms, properties, tnef

__all__ = ["LARGE", "MESSAGES", "attached"]

HEAD = b"From: a@a.example\nTo: b@b.example\nSubject: hostile\nMIME-Version: 1.0\n"


def attached(*files: tuple[str, bytes]) -> bytes:
    """A message with these attachments."""
    head = b"--b\nContent-Type: a/b\nContent-Disposition: attachment; filename=%b\nContent-Transfer-Encoding: base64\n\n%b"
    parts = [head % (name.encode(), base64.encodebytes(data)) for name, data in files]
    return HEAD + b"Content-Type: multipart/mixed; boundary=b\n\n--b\n\nsee the file\n" + b"".join(parts) + b"--b--\n"


def boundaries() -> bytes:
    """1,400 boundaries on each of 20 levels, in 1 MB."""
    level = b"Content-Type: multipart/mixed" + b"".join(b";boundary=b%d" % number for number in range(1400)) + b"\n\n--b0\n"
    return HEAD + level * 20 + b"\nx\n" * 200_000


def prefixes() -> bytes:
    """Twenty levels whose boundaries begin alike, so that each line is a delimiter of several."""
    levels = [b"Content-Type: multipart/mixed; boundary=%b\n\n--%b\n" % (b"b" * n, b"b" * n) for n in range(20, 0, -1)]
    return HEAD + b"".join(levels) + b"".join(b"--%b\nx\n" % (b"b" * (n % 30)) for n in range(50_000))


def readings() -> bytes:
    """A thousand parts, each with a header that can be read in many ways."""
    part = b"--b\n: x\r \n \nrubbish\nContent-Type: (a)multipart/mixed; boundary=b\nContent-Type: message/rfc822; name=a.eml\n"
    part += b"Content-Transfer-Encoding: (8bit) base64\nContent-Transfer-Encoding: quoted-printable\nrubbish\n" + b"QUJD" * 200 + b"\n"
    return HEAD + b"Content-Type: multipart/mixed; boundary=b\n\n" + part * 1000


def names() -> bytes:
    """Tens of thousands of file names of one part."""
    field = b"Content-Disposition: attachment" + b"".join(b";name=%d" % number for number in range(1500)) + b"\n"
    return HEAD + field * 60 + b"\nx\n"


def rubbish() -> bytes:
    """A header line of 200 kB without a colon, and then a header without end."""
    return HEAD + b"x" * 200_000 + b"\n" + b"x\n" * 400_000


def padding() -> bytes:
    """Base64 that ends every two characters."""
    return HEAD + b"Content-Transfer-Encoding: base64\n\n" + b"Q=" * 500_000


def uuencoded() -> bytes:
    """A hundred thousand files without content."""
    return HEAD + b"\n" + b"begin 644 x\n" * 100_000


def mailbox() -> bytes:
    """A hundred thousand messages in one file."""
    return attached(("m", b"From a b\nX-A:\n" * 100_000))


def words() -> bytes:
    """Encoded words that have no end."""
    return HEAD + (b"Content-Type: a/b; name=" + b"=?a?q?" * 2600 + b"\n") * 60 + b"\n"


def charsets() -> bytes:
    """Names in charsets whose decoders are quadratic."""
    fields = (b"Content-Type: a/b; name*=%b''%b\n" % (charset, b"a-" * 7000) for charset in (b"punycode", b"idna", b"utf-7") * 20)
    return HEAD + b"".join(fields) + b"\n"


def zip_bomb() -> bytes:
    """Forty files of 100 MB of zeros."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as file:
        for number in range(3):
            file.writestr(str(number), bytes(100 << 20))
    return attached(("a.zip", target.getvalue()))


def overlapping_zip() -> bytes:
    """Eight thousand members of the same packed bytes, which unpack to nothing."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    count = 2000
    body = b"\0\0\0\xff\xff" * 100_000 + packer.compress(b"x") + packer.flush()
    heads = [struct.pack("<4s5H3I2H", b"PK\3\4", 20, 0, 8, 0, 0, 0, 0, 0, 0, (count - n - 1) * 30) for n in range(count)]
    entries = [struct.pack("<4s6H3I5H2I", b"PK\1\2", 20, 20, 0, 8, 0, 0, 0, 9, 9, 0, 0, 0, 0, 0, 0, n * 30) for n in range(count)]
    data = b"".join((*heads, body))
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, count, count, len(entries[0]) * count, len(data), 0)
    return attached(("a.zip", data + b"".join(entries) + end))


def archives_in_archives() -> bytes:
    """A gzip file in a gzip file, forty times."""
    data = b"x"
    for _ in range(40):
        data = gzip.compress(data)
    return attached(("a.gz", data))


def empty_streams() -> bytes:
    """A gzip file of fifty thousand empty ones."""
    return attached(("a.gz", gzip.compress(b"") * 50_000))


def zip_signatures() -> bytes:
    """A hundred thousand signatures of zip, and as many headers that could be ones."""
    head = b"PK\3\4" + struct.pack("<5H3I2H", 20, 0, 8, 0, 0, 0, 0, 0, 1, 0) + b"a"
    return attached(("a.bin", b"x" + b"PK\3\4" * 100_000), ("b.bin", b"x" + head * 100_000), ("c.zip", head * 100_000))


def zip_directories() -> bytes:
    """A hundred thousand entries of directories, each with an end record, for one member."""
    one = local(b"a", b"x")
    return attached(("a.zip", one + (central(b"a", b"x", 0) + end(1, 47, len(one))) * 100_000), ("b.zip", one + end(1, 47, 0) * 100_000))


def zips_behind_each_other() -> bytes:
    """Ten thousand zips."""
    one = zipped((local(b"a", b"x" * 99), lambda at: central(b"a", b"x" * 99, at)))
    return attached(("a.zip", one * 10_000), ("b.bin", b"x" + one * 10_000))


def zip_descriptors() -> bytes:
    """Thousands of stored members without a size, and thousands of records that could be the one behind each."""
    head = local(b"a", b"", 0, 8, crc=0)
    return attached(("a.zip", head * 9000 + descriptor(b"x", 0) * 50_000))


def zip_overlapping_a_program() -> bytes:
    """As overlapping_zip, behind something and without a directory."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    body = b"\0\0\0\xff\xff" * 100_000 + packer.compress(b"x") + packer.flush()
    heads = [struct.pack("<4s5H3I2H", b"PK\3\4", 20, 0, 8, 0, 0, 0, 0, 9, 1, (2000 - n - 1) * 31) + b"a" for n in range(2000)]
    return attached(("a.exe.bin", b"some program" + b"".join((*heads, body))))


def zip_names() -> bytes:
    """Nine thousand members whose names of 60 KB overlap."""
    heads = b"".join(struct.pack("<4s5H3I2H", b"PK\3\4", 20, 0, 0, 0, 0, 0, 1, 1, 60_000, 0) for _ in range(9000))
    return attached(("a.zip", heads + b"\x81" * 60_000 + b"x"))


def deflate64_bomb() -> bytes:
    """Gigabytes of zeros."""
    packer = Deflater()
    packed = (packer.deflate(bytes(64 << 20)) + packer.flush())[:-64]
    head = struct.pack("<4s5H3I2H", b"PK\3\4", 20, 0, 9, 0, 0, 0, len(packed) * 40, 9, 1, 0) + b"a"
    return attached(("a.zip", head + packed * 40))


def signatures() -> bytes:
    """Signatures of 7z, rar, cab, xar, cpio, iso, tar, gzip, bzip2 and xz, some hundred thousand, and a few hundred that look whole."""
    start = struct.pack("<QQI", 0, 99, 7)
    false = b"7z\xbc\xaf\x27\x1c\0\4" + struct.pack("<I", zlib.crc32(start)) + start
    kinds = (b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\7\0", b"Rar!\x1a\7\1", b"MSCF\0\0\0\0", b"xar!", b"070701", b"CD001", b"ustar\0", false)
    streams = (b"\x1f\x8b\x08" + bytes(7), b"BZh91AY&SY", b"\xfd7zXZ\0\0\1\x69\x22\xde\x36")
    cab = b"MSCF" + bytes(20) + b"\3\1" + bytes(10)
    return attached(*((f"{number}.bin", b"x" + kind * 40_000) for number, kind in enumerate((*kinds, *streams, b"xar!\0\x1c\0\1", cab))))


def tar_headers() -> bytes:
    """Eleven thousand members without data, and thousands whose pax size covers all that follows."""
    pax = tarred(b"p", b"18 size=900000000\n", b"x")
    return attached(("a.tar", tarred(b"a", b"") * 11_000), ("b.tar", (pax + tarred(b"a", b"")) * 3000))


def streams_behind_rubbish() -> bytes:
    """A gzip file with fifty thousand others behind it, each behind a byte, whole or not."""
    return attached(("a.gz", (gzip.compress(b"x") + b"y") * 50_000), ("b.gz", gzip.compress(b"x") + b"y\x1f\x8b\x08" * 100_000))


def word_2003() -> bytes:
    """An XML file of Word 2003, under 1 MB, whose macros inflate to a gigabyte."""
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(bytes(1 << 20)) for _ in range(700)) + packer.flush()
    data = base64.encodebytes(b"ActiveMime".ljust(0x32, b"\0") + packed)
    head = b'<?xml version="1.0"?><?mso-application progid="Word.Document"?><w:wordDocument '
    head += b'xmlns:w="http://schemas.microsoft.com/office/word/2003/wordml"><w:docSuppData><w:binData w:name="editdata.mso">'
    xml = head + data + b"</w:binData></w:docSuppData></w:wordDocument>"
    return HEAD + b"Content-Type: application/xml; name=a.doc\n\n" + xml


def ole_streams() -> bytes:
    """An OLE file whose directory names one stream 8,000 times."""
    data = b"Attribut\0x" * 20_000
    return attached(("a.doc", _ole(data.ljust(-(-len(data) // 512) * 512, b"x"), 8000)))


def _ole(stream: bytes, count: int) -> bytes:
    folders = -(-(count + 1) // 4)
    sectors = len(stream) // 512
    tables = -(-(folders + sectors + 100) // 128)
    first = tables
    begin = tables + folders
    table = [0xFFFFFFFD] * tables + [*range(first + 1, begin), 0xFFFFFFFE, *range(begin + 1, begin + sectors), 0xFFFFFFFE]
    table += [0xFFFFFFFF] * (tables * 128 - len(table))
    head = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(16) + struct.pack("<HHHHH6x", 0x3E, 3, 0xFFFE, 9, 6)
    head += struct.pack("<IIIIIIIII", 0, tables, first, 0, 4096, 0xFFFFFFFE, 0, 0xFFFFFFFE, 0)
    head += struct.pack("<109I", *range(tables), *[0xFFFFFFFF] * (109 - tables))
    entries = [_entry("Root Entry", 5, 1, 0xFFFFFFFE, 0)]
    entries += [_entry(f"Macro{n}", 2, 0xFFFFFFFF, begin, len(stream)) for n in range(count)]
    return head + struct.pack(f"<{len(table)}I", *table) + b"".join(entries).ljust(folders * 512, b"\0") + stream


def _entry(name: str, kind: int, child: int, start: int, size: int) -> bytes:
    text = name.encode("utf-16-le") + b"\0\0"
    return struct.pack("<64sHBBIII36xIQ", text, len(text), kind, 1, 0xFFFFFFFF, 0xFFFFFFFF, child, start, size)


def nested_asn1() -> bytes:
    """A signed message of a hundred thousand OCTET STRINGs in each other, and one of a million chunks."""
    deep = cms(None)[:-2] + b"\xa0\x80" + b"\x24\x80" * 100_000
    return attached(("a.p7m", deep), ("b.p7m", cms(b"x" * 300_000, indefinite=True, chunk=1)))


def tnef_attributes() -> bytes:
    """Winmail.dat with two hundred thousand attributes, and with properties that claim to be four billion."""
    body = (0x9005, b"\xff\xff\xff\xff" + properties((0x101E, 0x3707, b""))[4:8] + b"\xff\xff\xff\xff" + bytes(200_000))
    return attached(("winmail.dat", tnef() + tnef((0x9002, b""))[6:] * 200_000), ("winmail.dat", tnef(body)))


def tnef_text() -> bytes:
    """Winmail.dat whose RTF text unpacks for minutes."""
    text = b"\0" * 8 + b"LZFu" + b"\0" * 4 + (b"\x7f" + b"".join(b"\0%c" % (16 * n + 15) for n in range(7)) + b"x") * 100_000
    return attached(("winmail.dat", tnef((0x9003, properties((0x102, 0x1009, text))))))


def ole_circle() -> bytes:
    """An OLE file whose sectors and folders form loops."""
    data = bytearray(_ole(b"x" * 512, 3000))
    data[512:1024] = struct.pack("<128I", *[1, 0] * 64)
    return attached(("a.doc", bytes(data)), ("b.doc", bytes(data) * 5))


def rtf_objects() -> bytes:
    """Objects and groups without end."""
    return attached(
        ("a.rtf", b"{\\rtf1" + b"{\\objdata " * 100_000), ("b.rtf", b"{\\rtf1\\objdata" + b"{\\bin" * 100_000 + b"41" * 500_000)
    )


def pdf_streams() -> bytes:
    """A hundred thousand streams, each packed and none of them ending; and attachments that share one."""
    stream = b"1 0 obj<</Type/ObjStm/Filter/FlateDecode>>stream\n" + zlib.compress(bytes(5000))[:-4]
    name = b"7 0 obj<</EmbeddedFile/Filter/FlateDecode>>stream\n"
    return attached(("a.pdf", b"%PDF-1" + stream * 10_000), ("b.pdf", b"%PDF-1" + name * 20_000 + b"/EF" * 100_000 + b"/F (" * 50_000))


def binhex_zeros() -> bytes:
    """BinHex that repeats one byte without end."""
    return attached(("a.hqx", b"(This file must be converted with BinHex\n:" + b"!*!-" + b"-!*" * 300_000))


def disc_circles() -> bytes:
    """A CD whose folder holds itself thirty thousand times, each time of another size."""

    def record(size: int) -> bytes:
        return (
            b"\x24\0"
            + struct.pack("<I", 20)
            + struct.pack(">I", 20)
            + struct.pack("<I", size)
            + struct.pack(">I", size)
            + bytes(7)
            + (b"\2\0\0\1\0\0\1\1x\0\0")
        )

    folder = b"".join((b"".join(record(2048 * (n * 50 + m + 1)) for m in range(50))).ljust(2048, b"\0") for n in range(600))
    volume = b"\1CD001\1".ljust(128, b"\0") + struct.pack("<H", 2048) + bytes(26) + record(len(folder))
    return attached(("a.iso", (bytes(32768) + volume.ljust(2048, b"\0") + b"\xffCD001").ljust(20 * 2048, b"\0") + folder))


def fat_circles() -> bytes:
    """A FAT32 volume whose clusters are loops, in a virtual disk of two terabytes of which one block is there."""
    files = b"".join(b"A%07dEXE" % n + bytes(9) + b"\0\0" + bytes(4) + struct.pack("<HI", 3 + n % 2, 0xFFFFFFFF - n) for n in range(16))
    boot = b"\xeb\0\x90MSDOS5.0" + struct.pack("<HBHBHHB10xIIII", 512, 1, 32, 1, 0, 0, 0xF8, 1 << 31, 8, 0, 2)
    table = struct.pack("<IIIII", 0, 0, 2, 3, 4).ljust(8 * 512, b"\0")
    block = (boot.ljust(32 * 512, b"\0") + table + files).ljust(2 << 20, b"x")
    footer = b"conectix" + struct.pack(">IIQ16xQQII", 2, 0x10000, 512, 1 << 41, 1 << 41, 0, 3)
    head = b"cxsparse" + struct.pack(">QQIII", (1 << 64) - 1, 4096, 0x10000, 1024, 2 << 20)
    start = footer.ljust(512, b"\0") + head.ljust(3584, b"\0") + struct.pack(">I", 15).ljust(4096, b"\xff")
    return attached(("a.vhd", start + block + footer.ljust(512, b"\0")))


def large() -> bytes:
    """233 MB: one attachment of random bytes."""
    return attached(("a.bin", os.urandom(172_000_000)))


MESSAGES: dict[str, Callable[[], bytes]] = {
    made.__name__: made
    for made in (
        *(boundaries, prefixes, readings, names, rubbish, padding, uuencoded, mailbox, words, charsets),
        *(zip_bomb, overlapping_zip, archives_in_archives, empty_streams, word_2003, ole_streams),
        *(zip_signatures, zip_directories, zips_behind_each_other, zip_descriptors, zip_overlapping_a_program, zip_names, deflate64_bomb),
        *(signatures, tar_headers, streams_behind_rubbish),
        *(nested_asn1, tnef_attributes, tnef_text, ole_circle, rtf_objects, pdf_streams, binhex_zeros, disc_circles, fat_circles),
    )
}
"""Makers of messages by name, each of at most some megabytes."""
LARGE: dict[str, Callable[[], bytes]] = {"large": large}
"""Makers of messages that are large for every filter."""
