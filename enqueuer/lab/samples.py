"""Make the messages of `enqueuer demo`: about forty, made again each time, and the same for the same seed. Pure.

The test strings of virus and spam filters are put together here at run time. As whole strings in a file, they would
make other scanners remove that file.
"""

import base64
import binascii
import gzip
import io
import random
import zipfile
import zlib
from collections.abc import Iterator
from typing import Literal, NamedTuple

__all__ = ["EICAR", "GTUBE", "Expect", "SampleMessage", "samples"]

Expect = Literal["enqueued", "quarantined", "refused", "any"]

EICAR = b"".join((rb"X5O!P%@AP[4\PZX54(P^)", b"7CC)7}$EICAR", b"-STANDARD-", b"ANTIVIRUS-TEST-FILE!$H+H*"))
GTUBE = b"".join((b"XJS*C4JDBQADN1.NSBN3*2IDNEN", b"*GTUBE-STANDARD-", b"ANTI-UBE-TEST-EMAIL*C.34X"))
MIB = 1 << 20


class SampleMessage(NamedTuple):
    """One message: the name of its file, its bytes, its expected disposition, and a description."""

    name: str
    data: bytes
    expect: Expect
    why: str


def samples(seed: int = 1) -> list[SampleMessage]:
    """Make all of them, in a mixed order."""
    chance = random.Random(seed)
    made = [*_ordinary(), *_large(chance), *_envelopes(), *_malformed(), *_dangerous(), *_wrapped(), *_refused()]
    chance.shuffle(made)
    return made


# What is in a message


def _mail(name: str, body: bytes, header: str = "", to: str = "To: Bob <bob@example.com>") -> bytes:
    """Return a message with the common header and these extra fields."""
    fields = ["From: Ann <ann@example.org>", to, f"Subject: {name}", f"Message-ID: <demo.{name}@example.org>", header]
    return "\n".join(field for field in fields if field).encode() + b"\n\n" + body


def _multipart(*parts: bytes, boundary: bytes = b"=_part", end: bytes = b"--") -> bytes:
    return b"".join(b"--%b\n%b\n" % (boundary, part) for part in parts) + b"--" + boundary + end + b"\n"


def _mixed(name: str, *parts: bytes) -> bytes:
    text = b"Content-Type: text/plain\n\nPlease see the attached file.\n"
    return _mail(name, _multipart(text, *parts), 'MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary="=_part"')


def _file(name: str, data: bytes, type: str = "application/octet-stream") -> bytes:
    """Return an attachment; `name` is given in the form in which it appears in the header."""
    name = name if name.startswith("filename") else f'filename="{name}"'
    head = f"Content-Type: {type}\nContent-Transfer-Encoding: base64\nContent-Disposition: attachment; {name}\n\n"
    return head.encode() + base64.encodebytes(data)


def _zip(**files: bytes) -> bytes:
    """Return a zip file; a double underscore in a name means its dot. Its times are constant, as all of a sample is."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name.replace("__", "."), (2026, 1, 1, 0, 0, 0)), data, zipfile.ZIP_DEFLATED)
    return target.getvalue()


def _locked(data: bytes) -> bytes:
    """Mark the only member of a zip file as encrypted."""
    changed = bytearray(data)
    changed[6] |= 1
    changed[data.index(b"PK\x01\x02") + 8] |= 1
    return bytes(changed)


# The messages


def _ordinary() -> Iterator[SampleMessage]:
    html = "MIME-Version: 1.0\nContent-Type: text/html; charset=utf-8"
    both = _multipart(b"Content-Type: text/plain\n\nHello\n", b"Content-Type: text/html\n\n<p>Hello</p>\n")
    alternative = 'MIME-Version: 1.0\nContent-Type: multipart/alternative; boundary="=_part"'
    qp = "MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable"
    forward = b"Content-Type: message/rfc822\n\n" + _mail("forwarded", b"The inner message.\n").replace(b"demo.", b"inner.")
    begin = b"begin 644 list.csv\n" + binascii.b2a_uu(b"name,age\nann,30\n") + b"`\nend\n"
    harmless = _zip(report__pdf=b"%PDF-1.7\n" * 50, notes__txt=b"Notes\n")
    talk = b"MZ begins every Windows program, \x7fELF every Linux one; EICAR and GTUBE are test strings.\nhttp://example.com/setup.exe\n"
    deep = b"Content-Type: text/plain\n\nThe innermost.\n"
    for level in range(5):
        boundary = b"=_level%d" % level
        deep = b'Content-Type: multipart/mixed; boundary="%b"\n\n' % boundary + _multipart(deep, boundary=boundary)
    yield SampleMessage("plain", _mail("plain", b"Hello Bob,\n\nhow are you?\n\nAnn\n"), "enqueued", "a few lines of text")
    yield SampleMessage(
        "crlf", _mail("crlf", b"Lines that end\nas on Windows.\n").replace(b"\n", b"\r\n"), "enqueued", "line ends are CR LF"
    )
    yield SampleMessage("html", _mail("html", "<p>Grüße</p>\n".encode(), html), "enqueued", "HTML only")
    yield SampleMessage("alternative", _mail("alternative", both, alternative), "enqueued", "text and HTML")
    yield SampleMessage("quoted", _mail("quoted", b"Gr=C3=BC=C3=9Fe=\n aus K=C3=B6ln\n", qp), "enqueued", "quoted-printable")
    yield SampleMessage("pdf", _mixed("pdf", _file("report.pdf", b"%PDF-1.7\n" + b"0 obj\n" * 500)), "enqueued", "a PDF attached")
    yield SampleMessage("zip", _mixed("zip", _file("report.zip", harmless)), "enqueued", "a zip of documents")
    yield SampleMessage("locked-zip", _mixed("locked-zip", _file("a.zip", _locked(_zip(a__txt=b"x")))), "enqueued", "a zip with a password")
    yield SampleMessage("forwarded", _mixed("forwarded", forward), "enqueued", "a message in a message")
    yield SampleMessage("nested", _mail("nested", b"", deep.decode().rstrip("\n")), "enqueued", "six levels of parts")
    yield SampleMessage("uuencoded", _mail("uuencoded", b"As in 1990:\n" + begin), "enqueued", "a file in the text")
    yield SampleMessage("about-viruses", _mail("about-viruses", talk), "enqueued", "a text that speaks of dangerous things")
    yield SampleMessage("empty-body", _mail("empty-body", b""), "enqueued", "nothing after the header")


def _large(chance: random.Random) -> Iterator[SampleMessage]:
    photo = b"\xff\xd8\xff\xe0" + chance.randbytes(MIB * 9 // 4)
    video = b"\0\0\0\x20ftypisom" + chance.randbytes(6 * MIB)
    log = b"".join(b"%08d an ordinary line of a log\n" % number for number in range(30_000))
    yield SampleMessage("photo-3mb", _mixed("photo-3mb", _file("beach.jpg", photo, "image/jpeg")), "enqueued", "3 MB, encoded")
    yield SampleMessage("video-8mb", _mixed("video-8mb", _file("party.mp4", video, "video/mp4")), "enqueued", "8 MB, encoded")
    yield SampleMessage("log-1mb", _mail("log-1mb", log), "enqueued", "1 MB of text")


def _envelopes() -> Iterator[SampleMessage]:
    many = "To: " + ",\n\t".join(f"User {number} <user{number}@example.com>" for number in range(300))
    long = "References: " + "\n\t".join(f"<{number}.{number**5}@example.org>" for number in range(1500))
    odd = 'To: "Doe, Jane" <jane@example.com>, (a comment) "quoted one"@example.com, friends: joe@example.com;'
    yield SampleMessage("many-recipients", _mail("many-recipients", b"To all.\n", to=many), "enqueued", "300 recipients")
    yield SampleMessage("bcc", _mail("bcc", b"Hush.\n", "Bcc: secret@example.com"), "enqueued", "a hidden recipient")
    yield SampleMessage(
        "envelope-to", _mail("envelope-to", b"x\n", "Envelope-To: eve@example.com"), "enqueued", "recipients by Envelope-To"
    )
    yield SampleMessage(
        "bounce", b"Return-Path: <>\n" + _mail("bounce", b"Could not be delivered.\n"), "enqueued", "no sender, as reports have"
    )
    yield SampleMessage("odd-addresses", _mail("odd-addresses", b"x\n", to=odd), "enqueued", "addresses as RFC 5322 allows them")
    yield SampleMessage("long-header", _mail("long-header", b"x\n", long), "enqueued", "a field of 40 kB")
    yield SampleMessage("long-line", _mail("long-line", b"x" * 100_000 + b"\n"), "enqueued", "a line of 100 kB")


def _malformed() -> Iterator[SampleMessage]:
    base64_field = "MIME-Version: 1.0\nContent-Transfer-Encoding: base64"
    lost = _multipart(b"Content-Type: text/plain\n\nHello\n", boundary=b"other")
    multipart = "MIME-Version: 1.0\nContent-Type: multipart/mixed"
    yield SampleMessage("no-boundary", _mail("no-boundary", lost, multipart), "enqueued", "a multipart without boundary")
    yield SampleMessage(
        "wrong-boundary", _mail("wrong-boundary", lost, f"{multipart}; boundary=this"), "enqueued", "another boundary than announced"
    )
    yield SampleMessage("unclosed", _mixed("unclosed", b"Content-Type: text/plain\n\nx")[:-10], "enqueued", "a multipart that never ends")
    yield SampleMessage(
        "broken-base64", _mail("broken-base64", b"SGVsbG8=!*=SGVs\0bG8\n", base64_field), "enqueued", "base64 that cannot be decoded"
    )
    yield SampleMessage("eight-bit", _mail("eight-bit", bytes(range(1, 256)) + b"\n"), "enqueued", "bytes of no known charset")
    yield SampleMessage("zero-bytes", _mail("zero-bytes", b"a\0b\0\0\n"), "enqueued", "zero bytes in the text")


def _dangerous() -> Iterator[SampleMessage]:
    windows = b"MZ\x90\0\3\0\0\0\4\0\0\0\xff\xff\0\0" + bytes(44) + b"\x40\0\0\0PE\0\0" + bytes(200)
    encoded = "filename*0*=utf-8''holiday%20; filename*1*=pictures%2E; filename*2=scr"
    inner = b"Content-Type: message/rfc822\n\n" + _mixed("inner", _file("notes.txt", EICAR)).replace(b"=_part", b"=_in")
    hidden = _file("notes.txt", b"x").replace(b"eA==", base64.b64encode(b"first") + b"\n" + base64.b64encode(EICAR))
    yield SampleMessage("eicar", _mixed("eicar", _file("eicar.com", EICAR)), "quarantined", "EICAR attached")
    yield SampleMessage("eicar-zip", _mixed("eicar-zip", _file("readme.zip", _zip(eicar__com=EICAR))), "quarantined", "EICAR in a zip")
    yield SampleMessage("eicar-text", _mail("eicar-text", EICAR + b"\n"), "quarantined", "EICAR as the text")
    yield SampleMessage("eicar-forwarded", _mixed("eicar-forwarded", inner), "quarantined", "EICAR in a message in a message")
    yield SampleMessage("eicar-padding", _mixed("eicar-padding", hidden), "quarantined", "EICAR after the end of base64")
    yield SampleMessage("gtube", _mail("gtube", b"Buy now!\n\n" + GTUBE + b"\n"), "quarantined", "GTUBE")
    yield SampleMessage(
        "program", _mixed("program", _file("photo.jpg", windows, "image/jpeg")), "quarantined", "a Windows program as a picture"
    )
    yield SampleMessage(
        "program-linux", _mixed("program-linux", _file("update", b"\x7fELF\2\1\1" + bytes(57))), "quarantined", "a Linux program"
    )
    yield SampleMessage("two-extensions", _mixed("two-extensions", _file("report.pdf.exe", b"x")), "quarantined", "report.pdf.exe")
    yield SampleMessage("encoded-name", _mixed("encoded-name", _file(encoded, b"x")), "quarantined", "a name in three encoded pieces")
    yield SampleMessage(
        "script-zip", _mixed("script-zip", _file("invoice.zip", _zip(invoice__js=b"x"))), "quarantined", "a script in a zip"
    )
    yield SampleMessage(
        "zip-bomb", _mixed("zip-bomb", _file("small.zip", _zip(a=bytes(20 * MIB)))), "quarantined", "20 MB in a zip of 20 kB"
    )


def _wrapped() -> Iterator[SampleMessage]:
    """Yield messages that some mail programs and unpackers open, and others do not."""
    empty = _mail("empty-boundary", _multipart(_file("a.txt", EICAR), boundary=b""), 'Content-Type: multipart/mixed; boundary=""')
    blanks = _mail("blanks", _multipart(_file("a.txt", EICAR), boundary=b"x"), "Content-Type: multipart / mixed; boundary=x")
    name = _mixed("name-and-words", _file("filename=invoice.exe is attached", b"x"))
    zipped = _mixed("second-name", _file("a.zip", _unicode_path("notes.txt", "invoice.exe")))
    packed = _mixed("joined-gzip", _file("log.gz", gzip.compress(b"x", mtime=0) + bytes(512) + gzip.compress(EICAR, mtime=0)))
    signed = _mixed("signed", _file("smime.p7m", _signed(_file("notes.txt", EICAR)), "application/pkcs7-mime; smime-type=signed-data"))
    yield SampleMessage("empty-boundary", empty, "quarantined", "EICAR in a multipart whose boundary is empty")
    yield SampleMessage("blanks", blanks, "quarantined", "EICAR in a multipart with blanks in its type")
    yield SampleMessage("name-and-words", name, "quarantined", "a program's name without quotes, with words behind")
    yield SampleMessage("second-name", zipped, "quarantined", "a zip in which a field names a file again, as a program")
    yield SampleMessage("joined-gzip", packed, "quarantined", "EICAR in the second of two gzip files with zeros between")
    yield SampleMessage("signed", signed, "quarantined", "EICAR in a signed message (S/MIME)")


def _unicode_path(name: str, other: str) -> bytes:
    """Return a zip with one file that has a second name in the extra field 0x7075 of Info-ZIP."""
    info = zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0))
    field = b"\1" + zlib.crc32(name.encode()).to_bytes(4, "little") + other.encode()
    info.extra = b"\x75\x70" + len(field).to_bytes(2, "little") + field
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr(info, b"x")
    return target.getvalue()


def _signed(content: bytes) -> bytes:
    """Wrap the content as CMS signedData (RFC 5652), without a signer."""

    def der(tag: int, *parts: bytes) -> bytes:
        body = b"".join(parts)
        return bytes([tag, 0x82]) + len(body).to_bytes(2, "big") + body

    data = bytes.fromhex("06092a864886f70d010701")
    signed_data = bytes.fromhex("06092a864886f70d010702")
    inner = der(0x30, data, der(0xA0, der(0x04, content)))
    return der(0x30, signed_data, der(0xA0, der(0x30, b"\x02\x01\x01", der(0x31), inner, der(0x31))))


def _refused() -> Iterator[SampleMessage]:
    yield SampleMessage("no-recipient", _mail("no-recipient", b"x\n", to=""), "refused", "no recipient")
    yield SampleMessage(
        "undisclosed", _mail("undisclosed", b"x\n", to="To: undisclosed-recipients:;"), "refused", "an empty group of recipients"
    )
