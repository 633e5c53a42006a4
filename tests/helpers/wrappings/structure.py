"""Wrap payloads so that begin and end of a part are hidden: by header, boundaries and delimiter lines."""

from collections.abc import Iterator

from tests.helpers.wrappings.base import HEAD, TEXT, Build, Payload, Wrapping, encoded, fields, mixed, part, variants

__all__ = ["BEGINNINGS", "BOUNDARIES", "INSIDE", "wrappings"]

_PADDING = b"".join(b"; x%d=%b" % (number, b"y" * 60) for number in range(260))
_LONG = b"X-Long: " + b"a" * 70 + b"\n" + b" %b\n" % (b"z" * 990) * 1100


def wrappings() -> Iterator[Wrapping]:
    """Yield all wrappings of the kind structure in this module."""
    yield from variants("structure", "plain", {"attachment": lambda p: mixed(part(p)), "alone": lambda p: HEAD + part(p)})
    yield from variants("structure", "boundary", {name: _boundary(*each) for name, each in BOUNDARIES.items()})
    yield from variants("structure", "two Content-Type", {name: _header(text) for name, text in _TWO_TYPES.items()})
    yield from variants("structure", "begin of the part", {name: _part_behind(text) for name, text in BEGINNINGS.items()})
    yield from variants("structure", "begin of the message", {name: _message_behind(text) for name, text in BEGINNINGS.items()})
    yield from variants("structure", "begin of the part alone", {name: _only_behind(text) for name, text in BEGINNINGS.items()})
    yield from variants("structure", "line in the header", {name: _inside(text) for name, text in INSIDE.items()})
    yield from variants("structure", "byte order mark", _MARKS)
    yield from variants("structure", "delimiters", _DELIMITERS)
    yield from variants("structure", "line ends", _LINE_ENDS)


# Boundaries

BOUNDARIES: dict[str, tuple[bytes, bytes]] = {
    "by RFC 2231": (b"multipart/mixed; boundary*=us-ascii''b1", b"b1"),
    "by RFC 2231 in one section": (b"multipart/mixed; boundary*0=b1", b"b1"),
    "by RFC 2231 in two sections": (b"multipart/mixed; boundary*0=b1; boundary*1=c2", b"b1c2"),
    "by RFC 2231 in two sections, turned around": (b"multipart/mixed; boundary*1=c2; boundary*0=b1", b"b1c2"),
    "by RFC 2231 in sections from 1": (b"multipart/mixed; boundary*1=b1; boundary*2=c2", b"b1c2"),
    "by RFC 2231 with a gap, taken whole": (b"multipart/mixed; boundary*0=b1; boundary*2=c2", b"b1c2"),
    "by RFC 2231 with a gap, taken to the gap": (b"multipart/mixed; boundary*0=b1; boundary*2=c2", b"b1"),
    "by RFC 2231 percent-encoded": (b"multipart/mixed; boundary*=us-ascii''%62%31", b"b1"),
    "by RFC 2231 percent-encoded, not decoded": (b"multipart/mixed; boundary*=us-ascii''%62%31", b"%62%31"),
    "by RFC 2231 percent-encoded in a section": (b"multipart/mixed; boundary*0*=us-ascii''%62; boundary*1=1", b"b1"),
    "by RFC 2231 with an unknown charset": (b"multipart/mixed; boundary*=x-none''b1", b"b1"),
    "by RFC 2231 without a charset": (b"multipart/mixed; boundary*=b1", b"b1"),
    "by RFC 2231 and a plain one, the plain": (b"multipart/mixed; boundary*=us-ascii''zz; boundary=b1", b"b1"),
    "by RFC 2231 and a plain one, the other": (b"multipart/mixed; boundary=zz; boundary*=us-ascii''b1", b"b1"),
    "percent-encoded in a plain parameter": (b"multipart/mixed; boundary=%62%31", b"%62%31"),
    "empty": (b'multipart/mixed; boundary=""', b""),
    "empty and unquoted": (b"multipart/mixed; boundary=", b""),
    "of blanks": (b'multipart/mixed; boundary="  "', b"  "),
    "missing": (b"multipart/mixed", b"b1"),
    "with a comment behind": (b"multipart/mixed; boundary=b1 (comment)", b"b1"),
    "with a comment behind, no blank": (b"multipart/mixed; boundary=b1(comment)", b"b1"),
    "with a comment before": (b"multipart/mixed; boundary=(comment)b1", b"b1"),
    "with a comment before the equals sign": (b"multipart/mixed; boundary (comment)=b1", b"b1"),
    "with a comment in the type": (b"multipart/mixed (comment; x); boundary=b1", b"b1"),
    "with a comment behind the quotes": (b'multipart/mixed; boundary="b1" (comment)', b"b1"),
    "with a nested comment": (b"multipart/mixed; (a (b) ; boundary=zz) boundary=b1", b"b1"),
    "with a word behind, cut": (b"multipart/mixed; boundary=b1 word", b"b1"),
    "with a word behind, whole": (b"multipart/mixed; boundary=b1 word", b"b1 word"),
    "with a word behind the quotes": (b'multipart/mixed; boundary="b1" word', b"b1"),
    "with a comma behind": (b"multipart/mixed; boundary=b1, word", b"b1"),
    "with a slash in it": (b"multipart/mixed; boundary=b1/c", b"b1/c"),
    "with an equals sign in it": (b"multipart/mixed; boundary==b1", b"=b1"),
    "with a colon in it": (b"multipart/mixed; boundary=b1:c", b"b1:c"),
    "given twice, the first": (b"multipart/mixed; boundary=b1; boundary=zz", b"b1"),
    "given twice, the second": (b"multipart/mixed; boundary=zz; boundary=b1", b"b1"),
    "given six times, the third": (b"multipart/mixed" + b"".join(b"; boundary=b%d" % n for n in range(6)), b"b2"),
    "behind 17 KB of parameters": (b"multipart/mixed" + _PADDING + b"; boundary=b1", b"b1"),
    "behind 17 KB of parameters, folded": (b"multipart/mixed" + _PADDING.replace(b"; ", b";\n ") + b";\n boundary=b1", b"b1"),
    "behind a quoted parameter of 17 KB": (b'multipart/mixed; x="' + b"y" * 17_000 + b'"; boundary=b1', b"b1"),
    "quoted with backslashes": (b'multipart/mixed; boundary="\\b\\1"', b"b1"),
    "quoted with a quote in it": (b'multipart/mixed; boundary="b\\"1"', b'b"1'),
    "quoted, open": (b'multipart/mixed; boundary="b1', b"b1"),
    "quoted, open, another parameter behind": (b'multipart/mixed; boundary="b1; x=y', b"b1"),
    "in single quotes": (b"multipart/mixed; boundary='b1'", b"'b1'"),
    "in angle brackets": (b"multipart/mixed; boundary=<b1>", b"<b1>"),
    "with blanks behind, in quotes": (b'multipart/mixed; boundary="b1  "', b"b1"),
    "with blanks behind, in quotes, as given": (b'multipart/mixed; boundary="b1  "', b"b1  "),
    "with blanks before, in quotes": (b'multipart/mixed; boundary="  b1"', b"  b1"),
    "with blanks around the equals sign": (b"multipart/mixed; boundary = b1", b"b1"),
    "without a semicolon": (b"multipart/mixed boundary=b1", b"b1"),
    "with a comma for the semicolon": (b"multipart/mixed, boundary=b1", b"b1"),
    "with two semicolons": (b"multipart/mixed;; boundary=b1", b"b1"),
    "with a semicolon before the type": (b"; multipart/mixed; boundary=b1", b"b1"),
    "in upper case": (b"multipart/mixed; BOUNDARY=b1", b"b1"),
    "folded before the value": (b"multipart/mixed; boundary=\n b1", b"b1"),
    "folded inside of the quotes": (b'multipart/mixed; boundary="b1\n c"', b"b1 c"),
    "folded with a tab inside of the quotes": (b'multipart/mixed; boundary="b1\n\tc"', b"b1\tc"),
    "folded in an empty line of blanks": (b"multipart/mixed;\n \n boundary=b1", b"b1"),
    "inside of another quoted parameter": (b'multipart/mixed; x="; boundary=zz"; boundary=b1', b"b1"),
    "in an encoded word": (b'multipart/mixed; boundary="=?us-ascii?Q?b1?="', b"b1"),
    "in an encoded word, as given": (b'multipart/mixed; boundary="=?us-ascii?Q?b1?="', b"=?us-ascii?Q?b1?="),
    "of 8-bit characters": ('multipart/mixed; boundary="bä1"'.encode(), "bä1".encode()),
    "of Latin-1 characters": (b'multipart/mixed; boundary="b\xe41"', b"b\xe41"),
    "with a NUL in it": (b'multipart/mixed; boundary="b\0001"', b"b\0001"),
    "with a NUL in it, cut there": (b'multipart/mixed; boundary="b1\0zz"', b"b1"),
    "with a NUL behind": (b"multipart/mixed; boundary=b1\0", b"b1"),
    "of 70 characters": (b"multipart/mixed; boundary=" + b"b" * 70, b"b" * 70),
    "of 500 characters": (b"multipart/mixed; boundary=" + b"b" * 500, b"b" * 500),
    "of 5,000 characters": (b"multipart/mixed; boundary=" + b"b" * 5000, b"b" * 5000),
    "of hyphens": (b"multipart/mixed; boundary=----", b"----"),
    "that ends in hyphens": (b"multipart/mixed; boundary=b1--", b"b1--"),
    "type in upper case": (b"MULTIPART/MIXED; boundary=b1", b"b1"),
    "type with blanks around the slash": (b"multipart / mixed; boundary=b1", b"b1"),
    "type with a comment at the slash": (b"multipart/(comment)mixed; boundary=b1", b"b1"),
    "type with a comment before": (b"(comment) multipart/mixed; boundary=b1", b"b1"),
    "type in quotes": (b'"multipart/mixed"; boundary=b1', b"b1"),
    "type folded": (b"\n multipart/mixed; boundary=b1", b"b1"),
    "type without a subtype": (b"multipart; boundary=b1", b"b1"),
    "type with an empty subtype": (b"multipart/; boundary=b1", b"b1"),
    "type unknown below multipart": (b"multipart/x-other; boundary=b1", b"b1"),
    "type multipart/alternative": (b"multipart/alternative; boundary=b1", b"b1"),
    "type multipart/related": (b'multipart/related; type="text/html"; boundary=b1', b"b1"),
    "type multipart/report": (b"multipart/report; report-type=delivery-status; boundary=b1", b"b1"),
    "type multipart/signed": (b"multipart/signed; protocol=x/y; boundary=b1", b"b1"),
    "type multipart/encrypted": (b"multipart/encrypted; protocol=x/y; boundary=b1", b"b1"),
    "type multipart/appledouble": (b"multipart/appledouble; boundary=b1", b"b1"),
    "type multipart/form-data": (b"multipart/form-data; boundary=b1", b"b1"),
    "type multipart/partial": (b"multipart/partial; boundary=b1", b"b1"),
    "type two words": (b"multipart/mixed text/plain; boundary=b1", b"b1"),
    "type with words before": (b"text/plain multipart/mixed; boundary=b1", b"b1"),
    "type of two slashes": (b"multipart/mixed/x; boundary=b1", b"b1"),
}


def _boundary(type: bytes, boundary: bytes) -> Build:
    return lambda payload: mixed(part(payload), type=type).replace(b"--b1", b"--" + boundary)


_TWO_TYPES = {
    "first counts": b"Content-Type: multipart/mixed; boundary=b1\nContent-Type: multipart/mixed; boundary=zz\n",
    "second counts": b"Content-Type: multipart/mixed; boundary=zz\nContent-Type: multipart/mixed; boundary=b1\n",
    "first is text": b"Content-Type: text/plain\nContent-Type: multipart/mixed; boundary=b1\n",
    "second is text": b"Content-Type: multipart/mixed; boundary=b1\nContent-Type: text/plain\n",
    "first is empty": b"Content-Type:\nContent-Type: multipart/mixed; boundary=b1\n",
    "first has no boundary": b"Content-Type: multipart/mixed\nContent-Type: multipart/mixed; boundary=b1\n",
    "second has no boundary": b"Content-Type: multipart/mixed; boundary=b1\nContent-Type: multipart/mixed\n",
    "fields of the same type far apart": b"Content-Type: text/plain\nX-Y: z\nSubject: x\nContent-Type: multipart/mixed; boundary=b1\n",
    "upper case and lower case": b"content-type: text/plain\nCONTENT-TYPE: multipart/mixed; boundary=b1\n",
    "one is a message": b"Content-Type: message/rfc822\nContent-Type: multipart/mixed; boundary=b1\n",
    "three": b"Content-Type: text/plain\nContent-Type: text/html\nContent-Type: multipart/mixed; boundary=b1\n",
    "behind 120 fields": b"Content-X: y\n" * 120 + b"Content-Type: multipart/mixed; boundary=b1\n",
    "behind 120 Content-Type": b"Content-Type: text/plain\n" * 120 + b"Content-Type: multipart/mixed; boundary=b1\n",
    "blank before the colon": b"Content-Type : multipart/mixed; boundary=b1\n",
    "tab before the colon": b"Content-Type\t: multipart/mixed; boundary=b1\n",
    "no blank behind the colon": b"Content-Type:multipart/mixed; boundary=b1\n",
    "in upper case": b"CONTENT-TYPE: multipart/mixed; boundary=b1\n",
    "behind a field over 1 MB": _LONG + b"Content-Type: multipart/mixed; boundary=b1\n",
    "no MIME-Version": b"Content-Type: multipart/mixed; boundary=b1\n",
    "with an empty continuation line": b"Content-Type: multipart/mixed; boundary=b1\n \n",
    "with a line of blanks behind": b"Content-Type: multipart/mixed; boundary=b1\n   \nX-Y: z\n",
}


def _header(text: bytes) -> Build:
    head = HEAD.replace(b"MIME-Version: 1.0\n", b"") if text is _TWO_TYPES["no MIME-Version"] else HEAD
    return lambda payload: head + text + b"\n" + TEXT + b"--b1\n" + part(payload) + b"--b1--\n"


# Headers that begin or go on in odd ways

BEGINNINGS = {
    "empty line": b"\n",
    "three empty lines": b"\n\n\n",
    "line of blanks": b"  \n",
    "line of a tab": b"\t\n",
    "junk line": b"this is no field\n",
    "byte order mark": b"\xef\xbb\xbf",
    "byte order mark in a line of its own": b"\xef\xbb\xbf\n",
    "colon alone": b": x\n",
    "continuation": b" continued\n",
    "continuation that looks like a field": b" X-Y: z\n",
    "From line": b"From ann@a.example Sat Jan  3 01:05:34 1996\n",
    "quoted From line": b">From ann@a.example Sat Jan  3 01:05:34 1996\n",
    "NUL": b"\0\n",
    "form feed": b"\f\n",
    "bare CR": b"\r",
    "field without a name behind blanks": b"  : x\n",
    "field with a blank in its name": b"X Y: z\n",
    "8-bit field name": "Überschrift: x\n".encode(),
    "HTTP line": b"HTTP/1.1 200 OK\n",
    "hyphens": b"-----\n",
}


def _part_behind(text: bytes) -> Build:
    return lambda payload: mixed(text + part(payload))


def _message_behind(text: bytes) -> Build:
    return lambda payload: text + mixed(part(payload))


def _only_behind(text: bytes) -> Build:
    return lambda payload: text + HEAD + part(payload)


INSIDE = {
    "junk": b"this is no field\n",
    "colon alone": b": x\n",
    "blanks alone": b"   \n",
    "tab alone": b"\t\n",
    "From line": b"From ann@a.example Sat Jan  3 01:05:34 1996\n",
    "quoted From line": b">From ann@a.example Sat Jan  3 01:05:34 1996\n",
    "field with a blank in its name": b"X Y: z\n",
    "8-bit field name": "Überschrift: x\n".encode(),
    "bare CR": b"X-Y: z\rq\n",
    "bare CR at the end": b"X-Y: z\r\r\n",
    "bare CR alone in a line": b"\r\r\n",
    "NUL": b"X-Y: \0\n",
    "vertical tab": b"\v\n",
    "delimiter of nothing": b"--\n",
    "field over 1 MB": _LONG,
}


def _inside(text: bytes) -> Build:
    def build(payload: Payload) -> bytes:
        first, *others = fields(payload).splitlines(keepends=True)
        return mixed(first + text + b"".join(others) + b"\n" + encoded(payload))

    return build


_MARK = b"\xef\xbb\xbf"
_MARKS: dict[str, Build] = {
    "before the encoding alone": lambda p: mixed(_MARK + b"Content-Transfer-Encoding: base64\n\n" + encoded(p)),
    "before the encoding alone, no subtype": lambda p: mixed(
        _MARK + b"Content-Transfer-Encoding: base64\n\n" + encoded(p), type=b"multipart; boundary=b1"
    ),
    "before the disposition alone": lambda p: mixed(_MARK + b"Content-Disposition: attachment; filename=%b\n\n" % p.name + p.data),
    "before the type alone": lambda p: _MARK + b"Content-Type: a/b; name=%b\n\n" % p.name + p.data,
    "behind an empty line": lambda p: mixed(b"\n" + _MARK + b"Content-Transfer-Encoding: base64\n\n" + encoded(p)),
}

# Delimiter lines

_OUTER = HEAD + b"Content-Type: multipart/mixed; boundary=b1\n\n"
_DELIMITERS: dict[str, Build] = {
    "no empty line before the first": lambda p: _OUTER[:-1] + b"--b1\n" + part(p) + b"--b1--\n",
    "no closing one": lambda p: _OUTER + b"--b1\n" + part(p),
    "no closing one and no last line end": lambda p: (_OUTER + b"--b1\n" + part(p)).rstrip(b"\n"),
    "part behind the closing one": lambda p: _OUTER + TEXT + b"--b1--\n--b1\n" + part(p),
    "closing one first": lambda p: _OUTER + b"--b1--\n" + part(p) + b"--b1--\n",
    "closing one twice around the part": lambda p: _OUTER + TEXT + b"--b1--\n" + part(p) + b"--b1--\n",
    "blanks behind": lambda p: mixed(part(p)).replace(b"--b1\n", b"--b1  \t\n"),
    "blanks behind the closing hyphens": lambda p: mixed(part(p)).replace(b"--b1--\n", b"--b1-- \n"),
    "junk behind": lambda p: mixed(part(p)).replace(b"--b1\n", b"--b1junk\n"),
    "junk behind a blank": lambda p: mixed(part(p)).replace(b"--b1\n", b"--b1 junk\n"),
    "junk behind the part's alone": lambda p: _OUTER + TEXT + b"--b1junk\n" + part(p) + b"--b1--\n",
    "junk behind closing hyphens": lambda p: _OUTER + TEXT + b"--b1--junk\n" + part(p) + b"--b1--\n",
    "one hyphen behind": lambda p: _OUTER + TEXT + b"--b1-\n" + part(p) + b"--b1--\n",
    "NUL behind": lambda p: _OUTER + TEXT + b"--b1\0\n" + part(p) + b"--b1--\n",
    "bare CR behind": lambda p: _OUTER + TEXT + b"--b1\r" + part(p) + b"--b1--\n",
    "blank before": lambda p: mixed(part(p)).replace(b"--b1", b" --b1"),
    "three hyphens": lambda p: mixed(part(p)).replace(b"--b1", b"---b1"),
    "one hyphen": lambda p: mixed(part(p)).replace(b"--b1", b"-b1"),
    "no hyphens": lambda p: mixed(part(p)).replace(b"--b1", b"b1"),
    "in another case": lambda p: mixed(part(p)).replace(b"--b1", b"--B1"),
    "that begin in the middle of a line": lambda p: _OUTER + b"text --b1\n" + part(p) + b"\n--b1--\n",
    "payload in the preamble": lambda p: _OUTER + part(p) + b"--b1\n\ntext\n--b1--\n",
    "payload in the preamble behind an empty line": lambda p: _OUTER + b"\n" + part(p) + b"--b1\n\ntext\n--b1--\n",
    "payload in the epilogue": lambda p: mixed() + b"\n" + part(p),
    "long preamble": lambda p: _OUTER + b"filler text\n" * 2000 + b"--b1\n" + part(p) + b"--b1--\n",
    "only one, and it closes": lambda p: _OUTER + part(p) + b"--b1--\n",
    "empty parts before": lambda p: _OUTER + b"--b1\n" * 5 + part(p) + b"--b1--\n",
    "empty parts with headers before": lambda p: _OUTER + b"--b1\nX-Y: z\n\n" * 5 + part(p) + b"--b1--\n",
    "50 parts before": lambda p: _OUTER + TEXT * 50 + b"--b1\n" + part(p) + b"--b1--\n",
    "1,200 parts before": lambda p: _OUTER + TEXT * 1200 + b"--b1\n" + part(p) + b"--b1--\n",
    "a line between is like one": lambda p: _OUTER + TEXT + b"--b2\n--b1\n" + part(p) + b"--b1--\n",
    "header without an empty line behind it": lambda p: _OUTER + b"--b1\n" + fields(p) + b"--b1\n" + part(p) + b"--b1--\n",
    "one in the header of the part": lambda p: _OUTER + b"--b1\nX-Y: z\n--b1\n" + part(p) + b"--b1--\n",
}

_LINE_ENDS: dict[str, Build] = {
    "CRLF": lambda p: mixed(part(p)).replace(b"\n", b"\r\n"),
    "CR": lambda p: mixed(part(p)).replace(b"\n", b"\r"),
    "CR CR LF": lambda p: mixed(part(p)).replace(b"\n", b"\r\r\n"),
    "LF CR": lambda p: mixed(part(p)).replace(b"\n", b"\n\r"),
    "CR in the part's header": lambda p: mixed(fields(p).replace(b"\n", b"\r") + b"\n" + encoded(p)),
    "CR in the part's header and behind it": lambda p: mixed(fields(p).replace(b"\n", b"\r") + b"\r" + encoded(p)),
    "CR in the part": lambda p: mixed(part(p).replace(b"\n", b"\r") + b"\n"),
    "CR in the message's header": lambda p: mixed(part(p), head=HEAD.replace(b"\n", b"\r")),
    "CR in the message's header, CRLF elsewhere": lambda p: mixed(part(p), head=HEAD.replace(b"\n", b"\r")).replace(b"\n", b"\r\n"),
    "CR at the delimiters": lambda p: mixed(part(p)).replace(b"\n--b1\n", b"\r--b1\r"),
    "LF in the header, CRLF in the body": lambda p: HEAD + fields(p) + b"\n" + encoded(p).replace(b"\n", b"\r\n"),
    "CRLF in the header, LF in the body": lambda p: (HEAD + fields(p) + b"\n").replace(b"\n", b"\r\n") + encoded(p),
    "CRLF in the header, LF in the empty line": lambda p: (HEAD + fields(p)).replace(b"\n", b"\r\n") + b"\n" + encoded(p),
    "LF in the header, CRLF in the empty line": lambda p: HEAD + fields(p) + b"\r\n" + encoded(p),
    "alternating": lambda p: b"".join(
        line[:-1] + (b"\r\n" if number % 2 else b"\n") for number, line in enumerate(mixed(part(p)).splitlines(keepends=True))
    ),
    "form feeds": lambda p: mixed(part(p)).replace(b"\n", b"\f\n"),
    "line separators of Unicode": lambda p: mixed(part(p), text="see\u2028the\u2029file\n".encode()),
    "NEL": lambda p: mixed(fields(p).replace(b"\n", b"\x85") + b"\n" + encoded(p)),
    "vertical tabs": lambda p: mixed(fields(p).replace(b"\n", b"\v") + b"\n" + encoded(p)),
}
