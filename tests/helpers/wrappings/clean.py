"""Make clean messages as in real mail. The filter may stop none of them, and flag almost none."""

import base64
import binascii
import bz2
import gzip
import quopri
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

from tests.helpers.wrappings.base import HEAD, Payload, mixed, part, uu
from tests.helpers.wrappings.containers import tnef
from tests.helpers.wrappings.packing import tarred
from tests.helpers.wrappings.smime import signed
from tests.helpers.wrappings.zipmaker import Entry, zipped

__all__ = ["messages"]

WORDS = b"The quick brown fox jumps over the lazy dog. "
PNG = binascii.a2b_base64("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")
PDF = b"%PDF-1.4\n1 0 obj\n<< /Type /Catalog >>\nendobj\n" + bytes(range(256)) * 40 + b"\ntrailer\n<< >>\n%%EOF\n"
HTML = b'<html><body style="x"><p>Hello <b>you</b></p><img src="cid:1@a"></body></html>\n'
CALENDAR = b"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nMETHOD:REQUEST\r\nBEGIN:VEVENT\r\nUID:1@a.example\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
CHARSETS = (
    "utf-8",
    "iso-8859-1",
    "iso-8859-15",
    "windows-1252",
    "koi8-r",
    "gb18030",
    "iso-2022-jp",
    "shift_jis",
    "euc-kr",
    "big5",
    "utf-7",
    "utf-16",
)


def messages() -> Iterator[tuple[str, bytes]]:
    """Yield each message with its name."""
    for source in (_plain(), _charsets(), _multiparts(), _forwarded(), _attachments(), _signatures(), _quoted(), _lists()):
        yield from source


def _text(body: bytes, fields: bytes = b"Content-Type: text/plain; charset=utf-8\n") -> bytes:
    return HEAD + fields + b"\n" + body


def _plain() -> Iterator[tuple[str, bytes]]:
    yield "no MIME at all", HEAD.replace(b"MIME-Version: 1.0\n", b"") + b"\nHello,\n\nsee you.\n"
    yield "plain text", _text(b"Hello,\n\nsee you.\n-- \nAnn\n")
    yield "empty body", _text(b"")
    yield "header only", HEAD
    yield "CRLF", _text(b"Hello,\n\nsee you.\n").replace(b"\n", b"\r\n")
    yield "HTML", _text(HTML, b"Content-Type: text/html; charset=utf-8\n")
    yield "text in base64", _text(base64.encodebytes(WORDS * 50), b"Content-Type: text/plain\nContent-Transfer-Encoding: base64\n")
    quoted = b"Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n"
    yield "text in quoted-printable", _text(quopri.encodestring("Grüße an alle = hier.\n".encode() * 30), quoted)
    yield "large text", _text((WORDS + b"\n") * 20_000)
    yield "one very long line", _text(WORDS * 2_000 + b"\n")
    yield "text flowed", _text(b"Hello, \nhow are you?\n", b"Content-Type: text/plain; charset=us-ascii; format=flowed; delsp=yes\n")
    yield "8-bit header", HEAD.replace(b"the file", "für dich".encode()) + b"\nhello\n"
    yield "encoded words", HEAD.replace(b"the file", b"=?utf-8?B?R3LDvMOfZQ==?= =?utf-8?Q?an_alle?=") + b"\nhello\n"
    received = b"Received: from a.example by b.example\n\twith ESMTPS id 1; Sat, 3 Jan 1996 01:05:34 +0000\n" * 12
    yield "many Received fields", received + b"DKIM-Signature: v=1; a=rsa-sha256; b=" + b"abcd" * 90 + b"\n" + _text(b"hello\n")
    yield "a line that begins with begin", _text(b"Please\nbegin 2026 with a rest\nand end it well\n")
    yield "hyphens in the text", _text(b"-- \n----- Original Message -----\n--\n-----\n")


def _charsets() -> Iterator[tuple[str, bytes]]:
    for charset in CHARSETS:
        body = base64.encodebytes("Hello, a text\n".encode(charset))
        yield (
            f"text in {charset}",
            _text(body, b"Content-Type: text/plain; charset=%b\nContent-Transfer-Encoding: base64\n" % charset.encode()),
        )


def _composed(*files: tuple[str, str, bytes], text: bytes = b"see the file\n") -> bytes:
    message = EmailMessage()
    message["From"] = "ann@a.example"
    message["To"] = "bob@b.example"
    message["Subject"] = "files"
    message.set_content(text.decode())
    for name, kind, data in files:
        main, _, sub = kind.partition("/")
        message.add_attachment(data, main, sub, filename=name)
    return message.as_bytes()


def _multiparts() -> Iterator[tuple[str, bytes]]:
    message = EmailMessage()
    message["From"] = "ann@a.example"
    message["Subject"] = "both"
    message.set_content("Hello\n")
    message.add_alternative("<p>Hello</p>", subtype="html")
    yield "alternative", message.as_bytes()
    message.get_payload()[1].add_related(PNG, "image", "png", cid="<1@a>")  # type: ignore[index, union-attr]
    yield "alternative with a picture", message.as_bytes()
    message.add_attachment(PDF, "application", "pdf", filename="Rechnung März.pdf")
    yield "alternative, picture and PDF", message.as_bytes()
    invitation = EmailMessage()
    invitation["From"] = "ann@a.example"
    invitation["Subject"] = "meeting"
    invitation.set_content("come\n")
    invitation.add_alternative(CALENDAR.decode(), subtype="calendar")
    yield "invitation", invitation.as_bytes()
    yield "invitation as a file", _composed(("invite.ics", "text/calendar", CALENDAR))
    yield "vCard", _composed(("ann.vcf", "text/vcard", b"BEGIN:VCARD\r\nFN:Ann\r\nEND:VCARD\r\n"))
    yield "no closing boundary", mixed(part(Payload("", "a.pdf", PDF)))[:-7]
    yield "preamble for old programs", mixed(part(Payload("", "a.pdf", PDF)), text=b"This is a multi-part message in MIME format.\n")
    yield (
        "boundary of Outlook",
        mixed(part(Payload("", "a.pdf", PDF)))
        .replace(b"=b1", b'="----=_NextPart_000_0001"')
        .replace(b"--b1", b"------=_NextPart_000_0001"),
    )


def _forwarded() -> Iterator[tuple[str, bytes]]:
    inner = _composed(("a.pdf", "application/pdf", PDF))
    named = (
        b'Content-Type: message/rfc822; name="News from example.com"\nContent-Disposition: attachment; filename="News from example.com"\n'
    )
    yield "forwarded", mixed(b"Content-Type: message/rfc822\n\n" + inner)
    yield "forwarded, named like a program", mixed(named + b"\n" + inner)
    yield "forwarded, named like a message", mixed(named.replace(b"News from example.com", b"Hello there.eml") + b"\n" + inner)
    yield "forwarded, named after a place", mixed(named.replace(b"News from example.com", b"www.example.com") + b"\n" + _text(b"hello\n"))
    yield "forwarded as a file", mixed(part(Payload("", "Hello.eml", inner)))
    yield "forwarded three times", mixed(b"Content-Type: message/rfc822\n\n" + mixed(b"Content-Type: message/rfc822\n\n" + inner))
    status = b"Reporting-MTA: dns; a.example\n\nFinal-Recipient: rfc822; bob@b.example\nAction: failed\nStatus: 5.1.1\n"
    report = b"multipart/report; report-type=delivery-status; boundary=b1"
    parts = (
        b"\nIt failed.\n",
        b"Content-Type: message/delivery-status\n\n" + status,
        b"Content-Type: message/rfc822\n\n" + _text(b"hello\n"),
    )
    yield "delivery report", mixed(*parts, type=report, text=b"")
    headers = b"Content-Type: text/rfc822-headers\n\n" + HEAD
    yield "delivery report with headers only", mixed(*parts[:2], headers, type=report, text=b"")
    receipt = b"Content-Type: message/disposition-notification\n\nDisposition: manual-action/MDN-sent-manually; displayed\n"
    yield "receipt", mixed(b"\nIt was read.\n", receipt, type=b"multipart/report; boundary=b1", text=b"")
    feedback = b"Content-Type: message/feedback-report\n\nFeedback-Type: abuse\nVersion: 1\n"
    yield "complaint of a feedback loop", mixed(parts[0], feedback, parts[2], type=b"multipart/report; boundary=b1", text=b"")


def _attachments() -> Iterator[tuple[str, bytes]]:
    office = zipped(Entry(b"[Content_Types].xml", b"<Types/>" * 20), Entry(b"word/document.xml", b"<w:document/>" * 50))
    each_line = b"".join(base64.b64encode(PDF[at : at + 55]) + b"\n" for at in range(0, len(PDF), 55))
    chunks = b"".join(base64.b64encode(PDF[at : at + 4096]) + b"\n" for at in range(0, len(PDF), 4096))
    large = b"".join(base64.b64encode((WORDS * 2)[:55]) + b"\n" for _ in range(15_000))
    fields = b"Content-Type: application/octet-stream; name=a.bin\nContent-Transfer-Encoding: base64\n\n"
    yield "PDF", _composed(("Bericht 2026.pdf", "application/pdf", PDF))
    yield "picture", _composed(("IMG_0001.PNG", "image/png", PNG))
    yield "Office file", _composed(("letter.docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document", office))
    yield "zip with a text", _composed(("files.zip", "application/zip", zipped(Entry(b"a.txt", WORDS * 20))))
    yield "zip with folders", _composed(("files.zip", "application/zip", zipped(Entry(b"a/", b"", 0), Entry(b"a/b.txt", WORDS))))
    yield "empty zip", _composed(("files.zip", "application/zip", zipped()))
    yield "log in gzip", _composed(("mail.log.gz", "application/gzip", gzip.compress(b"Jan  3 01:05:34 a postfix[1]: connect\n" * 3000)))
    yield "log in bzip2", _composed(("mail.log.bz2", "application/x-bzip2", bz2.compress(WORDS * 300)))
    yield "tar", _composed(("a.tar.gz", "application/gzip", gzip.compress(tarred(Payload("", "b.txt", WORDS)))))
    yield (
        "report of DMARC",
        _composed(("google.com!a.example!1!2.zip", "application/zip", zipped(Entry(b"google.com!a.example!1!2.xml", b"<feedback/>")))),
    )
    yield "base64 padded in each line", mixed(fields + each_line)
    yield "base64 padded in each chunk", mixed(fields + chunks)
    yield "base64 padded in each of 15,000 lines", mixed(fields + large)
    yield "winmail.dat with a text", _composed(("winmail.dat", "application/ms-tnef", tnef(Payload("", "a.txt", WORDS))))
    yield "name in RFC 2231", _composed(("Überweisung – März 2026.pdf", "application/pdf", PDF))
    yield "uuencoded text", _text(b"see the file\n\n" + uu(WORDS, b"a.txt"))
    yield "two of the same name", _composed(("a.txt", "text/plain", b"x\n"), ("a.txt", "text/plain", b"y\n"))
    yield "source of a program", _composed(("app.py", "text/x-python", Path(__file__).read_bytes()))


def _signatures() -> Iterator[tuple[str, bytes]]:
    text = b"Content-Type: text/plain\r\n\r\nHello\r\n"
    smime = b"Content-Type: application/pkcs7-signature; name=smime.p7s\nContent-Transfer-Encoding: base64\n\n"
    protocol = b'multipart/signed; protocol="application/pkcs7-signature"; micalg=sha-256; boundary=b1'
    yield "S/MIME, detached", mixed(text.replace(b"\r", b""), smime + base64.encodebytes(signed(b"")), type=protocol, text=b"")
    opaque = b"Content-Type: application/pkcs7-mime; smime-type=signed-data; name=smime.p7m\nContent-Transfer-Encoding: base64\n"
    yield "S/MIME, the text inside", HEAD + opaque + b"\n" + base64.encodebytes(signed(text))
    armor = b"-----BEGIN PGP SIGNATURE-----\n\niQEzBAABCAAdFiEE\n=abcd\n-----END PGP SIGNATURE-----\n"
    pgp = b"Content-Type: application/pgp-signature; name=signature.asc\n\n" + armor
    yield "PGP/MIME signed", mixed(b"\nHello\n", pgp, type=b'multipart/signed; protocol="application/pgp-signature"; boundary=b1', text=b"")
    version = b"Content-Type: application/pgp-encrypted\n\nVersion: 1\n"
    message = b"Content-Type: application/octet-stream; name=encrypted.asc\n\n" + armor.replace(b"SIGNATURE", b"MESSAGE")
    kind = b'multipart/encrypted; protocol="application/pgp-encrypted"; boundary=b1'
    yield "PGP/MIME encrypted", mixed(version, message, type=kind, text=b"")
    yield "PGP signed in the text", _text(b"-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\nHello\n- -- \nAnn\n" + armor)


def _quoted() -> Iterator[tuple[str, bytes]]:
    source = mixed(part(Payload("", "a.pdf", b"hello"))).replace(b"b1", b"c2")
    yield "source of a message in a text", _text(b"Look at this:\n\n" + source)
    yield "source of a message, quoted", _text(b"".join(b"> " + line for line in source.splitlines(keepends=True)))
    yield "patch", _text(b"diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-old\n+new\n-- \n2.40\n")
    yield "delimiter in a text", mixed(b"\nThe line\n --b1\nis indented.\n")


def _lists() -> Iterator[tuple[str, bytes]]:
    one = b"\nFrom: ann@a.example\nSubject: one\n\nHello\n"
    digest = b"multipart/digest; boundary=b1"
    footer = b"Content-Type: text/plain\nContent-Disposition: inline\n\n____\nlist mailing list\n"
    yield "digest", mixed(one, one, one, type=digest, text=b"")
    yield (
        "digest in a mixed one",
        mixed(b"Content-Type: multipart/digest; boundary=c2\n\n--c2\n" + one + b"--c2\n" + one + b"--c2--\n", footer),
    )
    yield "footer of a list", mixed(b"Content-Type: text/plain\n\nhello\n", footer)
    yield "newsletter", _text(HTML * 400, b"Content-Type: text/html; charset=utf-8\nList-Unsubscribe: <https://a.example/?u=1>\n")
