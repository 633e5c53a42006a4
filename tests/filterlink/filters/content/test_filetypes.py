import io
import struct
import zipfile

import pytest

from filterlink.filters.content.filetypes import file_type
from tests.filterlink.filters.content.test_office import entry, ole


def zipped(*names: str, first: bytes = b"") -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as file:
        if first:
            file.writestr("mimetype", first)
        for name in names:
            file.writestr(name, b"x" * 9000)
    return target.getvalue()


def directory(name: str) -> bytes:
    """An OLE file whose directory has a stream of this name."""
    return ole(b"x").replace(entry("Macro", 2, 0xFFFFFFFF, 2, 4096), entry(name, 2, 0xFFFFFFFF, 2, 4096))


WORD = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"


@pytest.mark.parametrize(
    ("data", "type"),
    [
        (b"MZ\x90\0\3" + bytes(60), "application/x-dosexec"),
        (b"\x7fELF\2\1\1", "application/x-executable"),
        (b"\xcf\xfa\xed\xfe\7\0", "application/x-mach-binary"),
        (b"\xca\xfe\xba\xbe\0\0\0\x34", "application/x-java-applet"),
        (b"L\0\0\0\1\x14\2\0\0", "application/x-ms-shortcut"),
        (b"MZ is how some texts begin, and ELF, too", "text/plain"),
        ("gr\u00fc\u00df dich\n".encode(), "text/plain"),
        ("hi".encode("utf-16"), "text/plain"),
        (b"BM and ID3 and PK and BZh and FWS", "text/plain"),
        (b"BZh9 of a text", "text/plain"),
        (b"#!/bin/sh\n", "text/x-shellscript"),
        (b"\n <HTML><body>", "text/html"),
        (b"<!DOCTYPE html>", "text/html"),
        (b'<?xml version="1.0"?>', "text/xml"),
        (b"<svg>", "image/svg+xml"),
        (b"{\\rtf1 x}", "text/rtf"),
        (b"%PDF-1.7\n", "application/pdf"),
        (b"rubbish\0" * 9 + b"%PDF-1.7\n", "application/pdf"),
        (zipped("a.txt"), "application/zip"),
        (zipped("[Content_Types].xml", "_rels/.rels", "word/document.xml"), WORD),
        (zipped("[Content_Types].xml", "xl/workbook.xml"), "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
        (zipped("word/list.txt"), "application/zip"),
        (zipped("a", first=b"application/vnd.oasis.opendocument.text"), "application/vnd.oasis.opendocument.text"),
        (zipped("META-INF/MANIFEST.MF"), "application/java-archive"),
        (directory("WordDocument"), "application/msword"),
        (directory("Workbook"), "application/vnd.ms-excel"),
        (directory("PowerPoint Document"), "application/vnd.ms-powerpoint"),
        (directory("Other"), "application/x-ole-storage"),
        (b"Rar!\x1a\7\0", "application/x-rar"),
        (b"7z\xbc\xaf'\x1c\0", "application/x-7z-compressed"),
        (b"\x1f\x8b\x08", "application/gzip"),
        (bytes(257) + b"ustar", "application/x-tar"),
        (bytes(0x8001) + b"CD001", "application/x-iso9660-image"),
        (b"\x89PNG\r\n\x1a\n\0", "image/png"),
        (b"\xff\xd8\xff\xe0\0", "image/jpeg"),
        (b"\x30\x80\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02\0", "application/pkcs7-mime"),
        (b"\0\1\2", "application/octet-stream"),
        (b"", ""),
        (b" \r\n", ""),
    ],
)
def test_types_by_content(data: bytes, type: str) -> None:
    """The words are those of file(1). A text stays a text, whatever letters it begins with."""
    assert file_type(data) == type


@pytest.mark.parametrize("sector", [0, 9, 12, 30, 65535])
def test_an_ole_file_with_a_wrong_header(sector: int) -> None:
    """Sizes and places of its sectors are any numbers."""
    for first in (0, 1, 0x7FFFFFFF, 0xFFFFFFFF):
        data = (
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
            + bytes(22)
            + struct.pack("<H", sector)
            + bytes(16)
            + struct.pack("<I", first)
            + b"\xff" * 999
        )
        assert file_type(data) == "application/x-ole-storage"
