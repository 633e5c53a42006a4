"""Wrap payloads so that the nature of a part is hidden: by encoding, type, disposition, messages in messages, and nesting."""

import base64
import quopri
from collections.abc import Callable, Iterator

from tests.helpers.wrappings.base import HEAD, TEXT, Build, Payload, Wrapping, encoded, fields, hexed, mixed, part, uu, variants

__all__ = ["BASE64", "ENCODINGS", "TYPES", "nested", "wrappings"]

Body = Callable[[bytes], bytes]


def wrappings() -> Iterator[Wrapping]:
    """Yield all wrappings of the kind structure in this module."""
    yield from variants("structure", "encoding field", {name: _encoding(text) for name, text in ENCODINGS.items()})
    yield from variants("structure", "base64", {name: _body(change) for name, change in BASE64.items()})
    yield from variants("structure", "quoted-printable", _QUOTED)
    yield from variants("structure", "type of the part", {name: _typed(text) for name, text in TYPES.items()})
    yield from variants("structure", "message/rfc822", _MESSAGES)
    yield from variants("structure", "multipart", _MULTIPARTS)
    yield from variants("structure", "nesting", {f"{depth} levels": _nested(depth) for depth in (2, 3, 5, 8, 12, 15, 19, 25)})


# Encodings

ENCODINGS = {
    "comment behind": b"Content-Transfer-Encoding: base64 (c)\n",
    "comment behind, no blank": b"Content-Transfer-Encoding: base64(c)\n",
    "comment before": b"Content-Transfer-Encoding: (c) base64\n",
    "comment inside": b"Content-Transfer-Encoding: ba(c)se64\n",
    "comment with the name of another": b"Content-Transfer-Encoding: base64 (7bit)\n",
    "open comment behind": b"Content-Transfer-Encoding: base64 (c\n",
    "in quotes": b'Content-Transfer-Encoding: "base64"\n',
    "in single quotes": b"Content-Transfer-Encoding: 'base64'\n",
    "semicolon behind": b"Content-Transfer-Encoding: base64;\n",
    "semicolon and parameter behind": b"Content-Transfer-Encoding: base64; x=y\n",
    "comma behind": b"Content-Transfer-Encoding: base64, 7bit\n",
    "full stop behind": b"Content-Transfer-Encoding: base64.\n",
    "word behind": b"Content-Transfer-Encoding: base64 word\n",
    "word before": b"Content-Transfer-Encoding: word base64\n",
    "7bit before": b"Content-Transfer-Encoding: 7bit base64\n",
    "7bit behind": b"Content-Transfer-Encoding: base64 7bit\n",
    "slash behind": b"Content-Transfer-Encoding: base64/x\n",
    "in angle brackets": b"Content-Transfer-Encoding: <base64>\n",
    "in mixed case": b"content-transfer-ENCODING: BaSe64\n",
    "folded before the value": b"Content-Transfer-Encoding:\n base64\n",
    "folded with an empty line of blanks": b"Content-Transfer-Encoding:\n \n base64\n",
    "blank before the colon": b"Content-Transfer-Encoding : base64\n",
    "blanks behind": b"Content-Transfer-Encoding: base64  \t\n",
    "NUL behind": b"Content-Transfer-Encoding: base64\0\n",
    "form feed before": b"Content-Transfer-Encoding: \fbase64\n",
    "hyphen inside": b"Content-Transfer-Encoding: base-64\n",
    "x-base64": b"Content-Transfer-Encoding: x-base64\n",
    "b64": b"Content-Transfer-Encoding: b64\n",
    "encoded word": b"Content-Transfer-Encoding: =?us-ascii?Q?base64?=\n",
    "twice, base64 first": b"Content-Transfer-Encoding: base64\nContent-Transfer-Encoding: 7bit\n",
    "twice, base64 second": b"Content-Transfer-Encoding: 7bit\nContent-Transfer-Encoding: base64\n",
    "twice, quoted-printable first": b"Content-Transfer-Encoding: quoted-printable\nContent-Transfer-Encoding: base64\n",
    "twice, quoted-printable second": b"Content-Transfer-Encoding: base64\nContent-Transfer-Encoding: quoted-printable\n",
    "twice, unknown second": b"Content-Transfer-Encoding: base64\nContent-Transfer-Encoding: x-none\n",
    "twice, unknown first": b"Content-Transfer-Encoding: x-none\nContent-Transfer-Encoding: base64\n",
    "three": b"Content-Transfer-Encoding: 7bit\nContent-Transfer-Encoding: base64\nContent-Transfer-Encoding: binary\n",
    "Content-Encoding": b"Content-Encoding: base64\n",
    "empty and given again": b"Content-Transfer-Encoding:\nContent-Transfer-Encoding: base64\n",
}


def _encoding(text: bytes) -> Build:
    return lambda payload: mixed(fields(payload, b"") + text + b"\n" + encoded(payload))


def _no_padding(data: bytes) -> bytes:
    return base64.b64encode(data).rstrip(b"=") + b"\n"


def _each_alone(data: bytes, size: int) -> bytes:
    return b"".join(base64.b64encode(data[at : at + size]) + b"\n" for at in range(0, len(data), size))


def _strewn(data: bytes, strange: bytes) -> bytes:
    text = base64.b64encode(data)
    return strange.join(text[at : at + 3] for at in range(0, len(text), 3)) + b"\n"


BASE64: dict[str, Body] = {
    "no padding": _no_padding,
    "padded in each line": lambda data: _each_alone(data, 10),
    "padded in each group": lambda data: _each_alone(data, 1).replace(b"\n", b""),
    "one line": lambda data: base64.b64encode(data) + b"\n",
    "one character a line": lambda data: b"\n".join(bytes([char]) for char in base64.b64encode(data)) + b"\n",
    "empty lines between": lambda data: base64.encodebytes(data).replace(b"\n", b"\n\n"),
    "strange characters": lambda data: _strewn(data, b"!"),
    "hyphens": lambda data: _strewn(data, b"-"),
    "8-bit characters": lambda data: _strewn(data, b"\xe4"),
    "NUL bytes": lambda data: _strewn(data, b"\0"),
    "blanks": lambda data: _strewn(data, b" \t"),
    "URL alphabet": lambda data: base64.urlsafe_b64encode(data) + b"\n",
    "junk before": lambda data: b"junk!!\n" + base64.encodebytes(data),
    "empty group before": lambda data: b"====\n" + base64.encodebytes(data),
    "padding alone before": lambda data: b"=\n" + base64.encodebytes(data),
    "short group before": lambda data: b"QQ==\n" + base64.encodebytes(data),
    "three bytes before, padding": lambda data: b"QUJD=\n" + base64.encodebytes(data),
    "text behind": lambda data: base64.encodebytes(data) + b"\nthis is a text behind it\n",
    "padding and data behind": lambda data: base64.encodebytes(data + b"x") + base64.encodebytes(b"more"),
    "eight paddings behind": lambda data: base64.b64encode(data).rstrip(b"=") + b"========\n",
    "cut in the last group": lambda data: base64.b64encode(data + b"zz")[:-2] + b"\n",
    "one character too many": lambda data: base64.b64encode(data + b"z" * (-len(data) % 3)) + b"Q\n",
    "in quoted-printable soft line ends": lambda data: base64.encodebytes(data).replace(b"\n", b"=\n"),
    "uuencode begin line": lambda data: b"begin-base64 644 readme.dat\n" + base64.encodebytes(data) + b"====\n",
    "comment line before": lambda data: b"# (=)\n" + base64.encodebytes(data),
    "armor lines": lambda data: b"-----BEGIN X-----\n" + base64.encodebytes(data) + b"-----END X-----\n",
}


def _body(change: Body) -> Build:
    return lambda payload: mixed(fields(payload) + b"\n" + change(payload.data))


def _qp(change: Body) -> Build:
    return lambda payload: mixed(fields(payload, b"quoted-printable") + b"\n" + change(payload.data))


_QUOTED: dict[str, Build] = {
    "every byte in hex": _qp(hexed),
    "hex in lower case": _qp(lambda data: hexed(data).lower()),
    "soft line ends in the middle": _qp(lambda data: b"=\n".join(b"=%02X" % byte for byte in data) + b"\n"),
    "soft line ends with blanks": _qp(lambda data: b"= \t\n".join(b"=%02X" % byte for byte in data) + b"\n"),
    "soft line ends of CRLF": _qp(lambda data: b"=\r\n".join(b"=%02X" % byte for byte in data) + b"\r\n"),
    "broken hex before": _qp(lambda data: b"=ZZ=\n" + hexed(data)),
    "equals sign at the end": _qp(lambda data: hexed(data).rstrip(b"\n") + b"="),
    "as the library does": _qp(quopri.encodestring),
    "of 8-bit and NUL": _qp(lambda data: data.replace(b"=", b"=3D").replace(b"$", b"=24") + b"=\n"),
    "comment behind the word": lambda p: mixed(fields(p, b"quoted-printable (c)") + b"\n" + hexed(p.data)),
    "in quotes": lambda p: mixed(fields(p, b'"quoted-printable"') + b"\n" + hexed(p.data)),
    "semicolon behind": lambda p: mixed(fields(p, b"quoted-printable;") + b"\n" + hexed(p.data)),
    "misspelt": lambda p: mixed(fields(p, b"quotedprintable") + b"\n" + hexed(p.data)),
    "as an encoded word would": _qp(lambda data: hexed(data).replace(b"=20", b"_")),
}

# Types


TYPES = {
    "none": b"",
    "empty": b"Content-Type:\n",
    "no slash": b"Content-Type: text\n",
    "unknown": b"Content-Type: x-a/x-b\n",
    "text/plain": b"Content-Type: text/plain\n",
    "text/html": b"Content-Type: text/html; charset=utf-8\n",
    "UTF-7": b"Content-Type: text/plain; charset=utf-7\n",
    "UTF-16": b"Content-Type: text/plain; charset=utf-16\n",
    "unknown charset": b"Content-Type: text/plain; charset=x-none\n",
    "image/png": b"Content-Type: image/png\n",
    "message without a subtype": b"Content-Type: message\n",
    "message/unknown": b"Content-Type: message/x-unknown\n",
    "message/delivery-status": b"Content-Type: message/delivery-status\n",
    "message/partial": b'Content-Type: message/partial; id="a@b"; number=1; total=1\n',
    "message/external-body": b"Content-Type: message/external-body; access-type=anon-ftp; site=a; name=b\n",
    "message/disposition-notification": b"Content-Type: message/disposition-notification\n",
    "message/http": b"Content-Type: message/http\n",
    "multipart without a boundary": b"Content-Type: multipart/mixed\n",
    "multipart with a boundary that is missing": b"Content-Type: multipart/mixed; boundary=zz\n",
    "application/pgp-encrypted": b"Content-Type: application/pgp-encrypted\n",
    "application/applefile": b"Content-Type: application/applefile\n",
    "with a NUL": b"Content-Type: text/pl\0ain\n",
    "8-bit": "Content-Type: täxt/plain\n".encode(),
    "encoded word": b"Content-Type: =?utf-8?q?text/plain?=\n",
    "parameters alone": b"Content-Type: ; name=x\n",
    "inline": b"Content-Type: text/plain\nContent-Disposition: inline\n",
    "disposition with a comment": b"Content-Type: a/b\nContent-Disposition: (c) attachment (d)\n",
    "disposition unknown": b"Content-Type: a/b\nContent-Disposition: x-none\n",
}


def _typed(text: bytes) -> Build:
    """Return a builder with these fields for the type. If `text` has no disposition, one with the name is added."""

    def build(payload: Payload) -> bytes:
        name = b"" if b"Disposition" in text else b"Content-Disposition: attachment; filename=%b\n" % payload.name
        name = name or b"X-Y: z\nContent-Disposition: attachment; filename=%b\n" % payload.name
        return mixed(text + name + b"Content-Transfer-Encoding: base64\n\n" + encoded(payload))

    return build


# Messages in messages

_INNER = b"Content-Type: message/rfc822\n"


def _message(begin: bytes) -> Build:
    return lambda payload: mixed(_INNER + b"\n" + begin + mixed(part(payload)).replace(b"b1", b"c2"))


def _inner(payload: Payload) -> bytes:
    return mixed(part(payload)).replace(b"b1", b"c2")


_MESSAGES: dict[str, Build] = {
    "plain": _message(b""),
    "begins with an empty line": _message(b"\n"),
    "begins with three empty lines": _message(b"\n\n\n"),
    "begins with a line of blanks": _message(b"  \n"),
    "begins with junk": _message(b"this is no field\n"),
    "begins with a continuation": _message(b" continued\n"),
    "begins with a From line": _message(b"From ann@a.example Sat Jan  3 01:05:34 1996\n"),
    "begins with a quoted From line": _message(b">From ann@a.example Sat Jan  3 01:05:34 1996\n"),
    "begins with a byte order mark": _message(b"\xef\xbb\xbf"),
    "begins with a colon": _message(b": x\n"),
    "in base64": lambda p: mixed(_INNER + b"Content-Transfer-Encoding: base64\n\n" + base64.encodebytes(_inner(p))),
    "in quoted-printable": lambda p: mixed(_INNER + b"Content-Transfer-Encoding: quoted-printable\n\n" + quopri.encodestring(_inner(p))),
    "in x-uuencode": lambda p: mixed(_INNER + b"Content-Transfer-Encoding: x-uuencode\n\n" + uu(_inner(p), b"x.eml")),
    "says base64 and is plain": lambda p: mixed(_INNER + b"Content-Transfer-Encoding: base64\n\n" + _inner(p)),
    "says quoted-printable and is plain": lambda p: mixed(_INNER + b"Content-Transfer-Encoding: quoted-printable\n\n" + _inner(p)),
    "of a single part": lambda p: mixed(_INNER + b"\n" + HEAD + part(p)),
    "as the whole message": lambda p: HEAD + _INNER + b"\n" + _inner(p),
    "nested twice": lambda p: mixed(_INNER + b"\n" + HEAD + _INNER + b"\n" + HEAD + _INNER + b"\n" + _inner(p)),
    "nested in base64 twice": lambda p: mixed(_base64_message(HEAD + _base64_message(_inner(p)))),
    "message/global": lambda p: mixed(b"Content-Type: message/global\n\n" + _inner(p)),
    "message/news": lambda p: mixed(b"Content-Type: message/news\n\n" + _inner(p)),
    "message/partial": lambda p: mixed(b"Content-Type: message/partial; id=x; number=1; total=1\n\n" + _inner(p)),
    "message/external-body": lambda p: mixed(b"Content-Type: message/external-body; access-type=local-file\n\n" + part(p)),
    "message/delivery-status": lambda p: mixed(b"Content-Type: message/delivery-status\n\n" + part(p)),
    "text/rfc822-headers": lambda p: mixed(b"Content-Type: text/rfc822-headers\n\n" + _inner(p)),
    "type with a comment": lambda p: mixed(b"Content-Type: message/rfc822 (c)\n\n" + _inner(p)),
    "type with a comment inside": lambda p: mixed(b"Content-Type: message/(c)rfc822\n\n" + _inner(p)),
    "a file called .eml": lambda p: mixed(part(Payload("", "mail.eml", _inner(p)))),
    "a file called .eml of text": lambda p: mixed(part(Payload("", "mail.eml", _inner(p), "text/plain"))),
    "multipart/digest by default": lambda p: _digest(b"\n" + _inner(p)),
    "multipart/digest by default, name only": lambda p: _digest(b"Content-Description: x\n\n" + _inner(p)),
    "multipart/digest by default, base64": lambda p: _digest(b"Content-Transfer-Encoding: base64\n\n" + base64.encodebytes(_inner(p))),
    "multipart/digest by default, empty type": lambda p: _digest(b"Content-Type:\n\n" + _inner(p)),
    "multipart/digest of two": lambda p: _digest(b"\n" + HEAD + b"\nx\n--b1\n\n" + HEAD + part(p)),
    "multipart/digest in capitals": lambda p: _digest(b"\n" + _inner(p)).replace(b"digest", b"DIGEST"),
    "multipart/digest inside of another": lambda p: _digest(b"\n" + HEAD + _digest(b"\n" + HEAD + part(p)).replace(b"b1", b"c2")),
}


def _digest(*parts: bytes) -> bytes:
    return mixed(*parts, type=b"multipart/digest; boundary=b1", text=b"")


def _base64_message(data: bytes) -> bytes:
    return _INNER + b"Content-Transfer-Encoding: base64\n\n" + base64.encodebytes(data)


# Multiparts in multiparts


def nested(inner: bytes, depth: int) -> bytes:
    """Return nested multiparts around a part."""
    for level in range(2, depth + 1):
        inner = b"Content-Type: multipart/mixed; boundary=n%d.\n\n--n%d.\n" % (level, level) + inner + b"--n%d.--\n" % level
    return mixed(inner)


def _nested(depth: int) -> Build:
    return lambda payload: nested(part(payload), depth)


def _within(field: bytes, change: Body) -> Build:
    """Return a builder of a multipart with an encoding: `change` encodes its body."""

    def build(payload: Payload) -> bytes:
        body = TEXT + b"--b1\n" + part(payload) + b"--b1--\n"
        return HEAD + b"Content-Type: multipart/mixed; boundary=b1\n" + field + b"\n" + change(body)

    return build


_MULTIPARTS: dict[str, Build] = {
    "in base64": _within(b"Content-Transfer-Encoding: base64\n", base64.encodebytes),
    "in quoted-printable": _within(b"Content-Transfer-Encoding: quoted-printable\n", quopri.encodestring),
    "says base64 and is plain": _within(b"Content-Transfer-Encoding: base64\n", bytes),
    "says quoted-printable and is plain": _within(b"Content-Transfer-Encoding: quoted-printable\n", bytes),
    "says x-uuencode and is plain": _within(b"Content-Transfer-Encoding: x-uuencode\n", bytes),
    "boundary begins like the inner one": lambda p: mixed(_inner_multipart(b"b1x", part(p))),
    "inner boundary begins like the outer": lambda p: mixed(_inner_multipart(b"b", part(p)), type=b"multipart/mixed; boundary=b1"),
    "inner boundary is the outer's": lambda p: mixed(_inner_multipart(b"b1", part(p))),
    "inner one never closed": lambda p: mixed(_inner_multipart(b"c2", part(p)).replace(b"--c2--\n", b"")),
    "outer one closed inside": lambda p: mixed(_inner_multipart(b"c2", b"X-Y: z\n\ntext\n--b1--\n--c2\n" + part(p))),
    "payload in the inner epilogue": lambda p: mixed(_inner_multipart(b"c2", b"X-Y: z\n\ntext\n") + part(p)),
    "payload in the inner preamble": lambda p: mixed(b"Content-Type: multipart/mixed; boundary=c2\n\n" + part(p) + b"--c2\n\nx\n--c2--\n"),
    "has the name itself": lambda p: mixed(b"Content-Disposition: attachment; filename=%b\n" % p.name + _inner_multipart(b"c2", part(p))),
    "alternative of text and the payload": lambda p: mixed(part(p), type=b"multipart/alternative; boundary=b1"),
}


def _inner_multipart(boundary: bytes, inner: bytes) -> bytes:
    return b"Content-Type: multipart/mixed; boundary=%b\n\n--%b\n" % (boundary, boundary) + inner + b"--%b--\n" % boundary
