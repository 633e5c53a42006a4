"""Name the type of a file by its content, in the words of file(1). Pure; it reads a few KiB at fixed places.

Libraries were compared: filetype 1.2.0 (no release since 2022) calls a text that begins with MZ a program, and knows no OLE, no Mach-O
and no HTML; puremagic 1.30 calls each zip an Office document, and has no type for programs. Rules need few types, and these without doubt.
"""

import re

__all__ = ["file_type"]

BEGIN = 4096
"""Bytes at the start that decide."""
OFFICE_END = 16 << 10
"""Bytes at the end of a zip file of Office that are searched for its directory."""
_TEXT = re.compile(rb"[^\x00-\x08\x0b\x0e-\x1a\x1c-\x1f\x7f]*+")
_MZ = b"MZ"
_MARKUP = re.compile(rb"(?:\xef\xbb\xbf)?\s*+<(?:(!doctype\s+html|html|head|body|script|iframe|meta\s)|(svg)|(\?xml))", re.IGNORECASE)
_PKCS7 = re.compile(rb"\x30[\x80-\x84].{0,4}\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07", re.DOTALL)
_MIMETYPE = re.compile(rb"application/[a-z0-9.+-]+")
_SIGNATURES: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\x7fELF", "application/x-executable"),
    (0, b"\xfe\xed\xfa\xce", "application/x-mach-binary"),
    (0, b"\xfe\xed\xfa\xcf", "application/x-mach-binary"),
    (0, b"\xce\xfa\xed\xfe", "application/x-mach-binary"),
    (0, b"\xcf\xfa\xed\xfe", "application/x-mach-binary"),
    (0, b"\xca\xfe\xba\xbe\0\0\0\x02", "application/x-mach-binary"),
    (0, b"\xca\xfe\xba\xbe", "application/x-java-applet"),
    (0, b"dex\n", "application/x-dex"),
    (0, b"\0asm", "application/wasm"),
    (0, b"L\0\0\0\x01\x14\x02\0", "application/x-ms-shortcut"),
    (0, b"ITSF", "application/vnd.ms-htmlhelp"),
    (0, b"\xe4\x52\x5c\x7b\x8c\xd8\xa7\x4d\xae\xb1\x53\x78\xd0\x29\x96\xd3", "application/onenote"),
    (0, b"{\\rt", "text/rtf"),
    (0, b"PK\x05\x06", "application/zip"),
    (0, b"PK\x07\x08", "application/zip"),
    (0, b"Rar!\x1a\x07", "application/x-rar"),
    (0, b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    (0, b"\x1f\x8b", "application/gzip"),
    (0, b"BZh", "application/x-bzip2"),
    (0, b"\xfd7zXZ\0", "application/x-xz"),
    (0, b"\x28\xb5\x2f\xfd", "application/zstd"),
    (0, b"LZIP", "application/x-lzip"),
    (0, b"MSCF\0\0\0\0", "application/vnd.ms-cab-compressed"),
    (0, b"\x60\xea", "application/x-arj"),
    (0, b"xar!", "application/x-xar"),
    (0, b"!<arch>\n", "application/x-archive"),
    (0, b"\xed\xab\xee\xdb", "application/x-rpm"),
    (0, b"\x78\x9f\x3e\x22", "application/vnd.ms-tnef"),
    (257, b"ustar", "application/x-tar"),
    (0x8001, b"CD001", "application/x-iso9660-image"),
    (0, b"conectix", "application/x-virtualbox-vhd"),
    (0, b"vhdxfile", "application/x-virtualbox-vhdx"),
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"GIF8", "image/gif"),
    (0, b"II*\0", "image/tiff"),
    (0, b"MM\0*", "image/tiff"),
    (8, b"WEBPVP8", "image/webp"),
    (8, b"WAVEfmt ", "audio/x-wav"),
    (8, b"AVI LIST", "video/x-msvideo"),
    (0, b"ID3", "audio/mpeg"),
    (0, b"OggS", "application/ogg"),
    (0, b"fLaC", "audio/flac"),
    (0, b"\x1a\x45\xdf\xa3", "video/x-matroska"),
    (4, b"ftyp", "video/mp4"),
    (0, b"FWS", "application/x-shockwave-flash"),
    (0, b"CWS", "application/x-shockwave-flash"),
    (0, b"ZWS", "application/x-shockwave-flash"),
    (0, b"SQLite format 3\0", "application/vnd.sqlite3"),
    (0, b"wOFF", "font/woff"),
    (0, b"wOF2", "font/woff2"),
)
"""Offset, bytes, type. The first one that fits counts. Those of letters alone count only if the file is no text."""
_OPEN_XML = (
    (b"word/", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    (b"xl/", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    (b"ppt/", "application/vnd.openxmlformats-officedocument.presentationml.presentation"),
)
_STREAMS = (
    ("WordDocument", "application/msword"),
    ("Workbook", "application/vnd.ms-excel"),
    ("Book", "application/vnd.ms-excel"),
    ("PowerPoint Document", "application/vnd.ms-powerpoint"),
    ("__properties_version1.0", "application/vnd.ms-outlook"),
)
"""Streams of OLE files, and the program that writes them."""
_MSI = bytes.fromhex("84100c0000000000c000000000000046")
"""The class of the root of an installer package."""


def file_type(data: bytes) -> str:
    """Return the MIME type of a file; "application/octet-stream" if it is not known, and "" if it is empty."""
    begin = data[:BEGIN]
    if not begin.strip():
        return ""
    if begin.find(b"%PDF-", 0, 1029) >= 0:  # readers of PDF search it there
        return "application/pdf"
    is_text = _TEXT.fullmatch(begin) is not None
    if not is_text and begin.startswith(_MZ):
        return "application/x-dosexec"
    if begin.startswith(b"PK\x03\x04"):
        return _of_zip(data)
    if begin.startswith(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"):
        return _of_ole(data)
    if is_text or begin.startswith((b"\xff\xfe", b"\xfe\xff")):
        return _of_text(begin)
    known = next((type for at, magic, type in _SIGNATURES if data.startswith(magic, at)), "")
    return known or ("application/pkcs7-mime" if _PKCS7.match(begin) else "application/octet-stream")


def _of_text(begin: bytes) -> str:
    if begin.startswith(b"#!"):
        return "text/x-shellscript"
    if begin.startswith(b"{\\rt"):
        return "text/rtf"
    if begin.startswith(b"GIF8"):
        return "image/gif"
    match = _MARKUP.match(begin)
    return "text/plain" if match is None else ("text/html", "image/svg+xml", "text/xml")[(match.lastindex or 1) - 1]


def _of_zip(data: bytes) -> str:
    """Return the type of a zip file: Office, OpenDocument and Java name their files in a fixed way."""
    size = int.from_bytes(data[18:22], "little")
    if data.startswith(b"mimetypeapplication/", 30) and (kind := _MIMETYPE.fullmatch(data[38 : 38 + min(size, 100)])):
        return kind[0].decode()
    names = data[:BEGIN] + data[-OFFICE_END:]
    if b"[Content_Types].xml" in names:
        return next((type for folder, type in _OPEN_XML if folder in names), "application/zip")
    if b"AndroidManifest.xml" in names:
        return "application/vnd.android.package-archive"
    return "application/java-archive" if b"META-INF/MANIFEST.MF" in names else "application/zip"


def _of_ole(data: bytes) -> str:
    """Return the type of an OLE file by the first sector of its directory."""
    size = 1 << min(int.from_bytes(data[30:32], "little"), 12)
    start = (int.from_bytes(data[48:52], "little") + 1) * size
    directory = data[start : start + BEGIN]
    if directory[80:96] == _MSI:
        return "application/x-msi"
    names = {_stream(directory[at : at + 66]) for at in range(0, len(directory), 128)}
    return next((type for stream, type in _STREAMS if stream in names), "application/x-ole-storage")


def _stream(entry: bytes) -> str:
    """Return the name in an entry of the directory, with its length at the end."""
    return entry[: max(0, min(64, int.from_bytes(entry[64:66], "little")) - 2)].decode("utf-16-le", "replace")
