"""Wrap payloads so that the name of the file is hidden. NAME stands for the name, STEM and EXT for the parts before and after the dot."""

import base64
from collections.abc import Iterator

from tests.helpers.wrappings.base import Build, Payload, Wrapping, encoded, mixed, variants

__all__ = ["FIELDS", "FILENAMES", "TYPE_NAMES", "filled", "wrappings"]

_TYPE = b"Content-Type: application/octet-stream\n"
_FILE = b"Content-Disposition: attachment; "


def wrappings() -> Iterator[Wrapping]:
    """Yield all wrappings of the kind names."""
    yield from variants("names", "filename", {name: _named(_TYPE + _FILE + text + b"\n") for name, text in FILENAMES.items()})
    yield from variants("names", "name", {name: _named(b"Content-Type: a/b; " + text + b"\n") for name, text in TYPE_NAMES.items()})
    yield from variants("names", "fields", {name: _named(text) for name, text in FIELDS.items()})


FILENAMES = {
    "quoted": b'filename="NAME"',
    "unquoted with a word behind": b"filename=NAME word",
    "unquoted with a comment behind": b"filename=NAME (comment)",
    "unquoted with a comment behind, no blank": b"filename=NAME(comment)",
    "unquoted with a comma behind": b"filename=NAME, word",
    "unquoted with a comma behind, no blank": b"filename=NAME,word",
    "unquoted with blanks inside": b"filename=the NAME",
    "unquoted with a slash behind": b"filename=NAME/",
    "quoted with a word behind": b'filename="NAME" word',
    "quoted with a comment behind": b'filename="NAME" (comment)',
    "quoted with a comma behind": b'filename="NAME", x',
    "quoted with text behind the quotes": b'filename="NAME".txt',
    "quoted with a second quoted string behind": b'filename="STEM" ".EXT"',
    "quoted in two strings, no blank": b'filename="STEM"".EXT"',
    "quoted with backslashes": b'filename="STEM\\.\\EXT"',
    "quoted with a quote inside": b'filename="x\\"NAME"',
    "open quote": b'filename="NAME',
    "open quote, another parameter behind": b'filename="NAME; size=5',
    "single quotes": b"filename='NAME'",
    "angle brackets": b"filename=<NAME>",
    "comment before": b"filename=(comment)NAME",
    "comment before the equals sign": b"filename(c)=NAME",
    "comment before the word": b"(c) filename=NAME",
    "comment inside": b"filename=STEM(c).EXT",
    "blanks around the equals sign": b"filename = NAME",
    "folded before the value": b"filename=\n NAME",
    "folded inside": b'filename="STEM\n .EXT"',
    "folded inside with a tab": b'filename="STEM.\n\tEXT"',
    "in upper case": b"FILENAME=NAME",
    "twice, the first": b"filename=NAME; filename=x.txt",
    "twice, the second": b"filename=x.txt; filename=NAME",
    "behind 17 KB": b"x=" + b"y" * 17_000 + b"; filename=NAME",
    "of 300 characters": b"filename=" + b"x" * 300 + b" NAME",
    "path of Unix": b"filename=/tmp/x/NAME",
    "path of Windows": b'filename="C:\\x\\NAME"',
    "path of Windows, escaped": b'filename="C:\\\\x\\\\NAME"',
    "path upwards": b"filename=../../NAME",
    "dot behind": b"filename=NAME.",
    "dots and blanks behind": b'filename="NAME. . "',
    "blanks before": b'filename="   NAME"',
    "NUL behind": b'filename="NAME\0.txt"',
    "NUL before": b'filename="x.txt\0NAME"',
    "tab behind": b'filename="NAME\t"',
    "in capitals": b"filename=CAPITALS",
    "of wide characters": "filename=ｉｎｖｏｉｃｅ.EXT".encode(),
    "stream behind": b'filename="NAME::$DATA"',
    "RFC 2231": b"filename*=utf-8''NAME",
    "RFC 2231 with language": b"filename*=utf-8'en'NAME",
    "RFC 2231 percent-encoded": b"filename*=utf-8''STEM%2EEXT",
    "RFC 2231 all percent-encoded": b"filename*=utf-8''PERCENT",
    "RFC 2231 without a charset": b"filename*=NAME",
    "RFC 2231 with an empty charset": b"filename*=''NAME",
    "RFC 2231 with an unknown charset": b"filename*=x-none''STEM%2EEXT",
    "RFC 2231 in UTF-16": b"filename*=utf-16be''UTF16",
    "RFC 2231 in EBCDIC": b"filename*=cp500''EBCDIC",
    "RFC 2231 in UTF-7": b"filename*=utf-7''STEM+AC4-EXT",
    "RFC 2231 quoted": b"filename*=\"utf-8''NAME\"",
    "RFC 2231 with one quote": b"filename*=utf-8'NAME",
    "RFC 2231 broken percent": b"filename*=utf-8''STEM.EXT%",
    "RFC 2231 and plain, the plain": b"filename*=utf-8''x.txt; filename=NAME",
    "RFC 2231 and plain, the other": b"filename=x.txt; filename*=utf-8''NAME",
    "RFC 2231 in sections": b"filename*0=STEM; filename*1=.EXT",
    "RFC 2231 in sections, turned around": b"filename*1=.EXT; filename*0=STEM",
    "RFC 2231 in sections from 1": b"filename*1=STEM; filename*2=.EXT",
    "RFC 2231 in sections with a gap": b"filename*0=NAME; filename*2=.txt",
    "RFC 2231 in sections with a gap, joined": b"filename*0=STEM; filename*2=.EXT",
    "RFC 2231 in sections with leading zeros": b"filename*00=STEM; filename*01=.EXT",
    "RFC 2231 in sections, one twice": b"filename*0=STEM; filename*1=.txt; filename*1=.EXT",
    "RFC 2231 in sections, the first twice": b"filename*0=STEM.EXT; filename*0=x; filename*1=",
    "RFC 2231 in sections, percent-encoded": b"filename*0*=utf-8''STEM; filename*1*=%2EEXT",
    "RFC 2231 in sections, the second not encoded": b"filename*0*=utf-8''STEM%2E; filename*1=EXT",
    "RFC 2231 in sections, the first not encoded": b"filename*0=STEM; filename*1*=%2EEXT",
    "RFC 2231 in sections, charset in the second": b"filename*0=STEM; filename*1*=utf-8''%2EEXT",
    "RFC 2231 in sections, percent split": b"filename*0*=utf-8''STEM%2; filename*1*=EEXT",
    "RFC 2231 in sections, and plain": b"filename*0=x; filename*1=.txt; filename=NAME",
    "RFC 2231 in sections, a word behind": b"filename*0=STEM; filename*1=.EXT word",
    "RFC 2231 in sections, a comment behind": b"filename*0=STEM; filename*1=.EXT(c)",
    "RFC 2231 in one encoded section, a word behind": b"filename*0*=utf-8''STEM%2EEXT word",
    "RFC 2231 in one encoded section, one quote and a word": b"filename*0*=utf8'STEM%2EEXT word",
    "RFC 2231 in one section": b"filename*0=NAME",
    "RFC 2231 in one encoded section": b"filename*0*=utf-8''STEM%2EEXT",
    "RFC 2231 in 12 sections": b"filename*0=STEM; filename*1=.E" + b"".join(b"; filename*%d=" % n for n in range(2, 12)),
    "percent-encoded in a plain one": b"filename=STEM%2EEXT",
    "encoded word B": b'filename="=?utf-8?B?BASE64?="',
    "encoded word B unquoted": b"filename==?utf-8?B?BASE64?=",
    "encoded word B, no padding": b'filename="=?utf-8?B?BASE6?="',
    "encoded word Q": b'filename="=?utf-8?Q?STEM=2EEXT?="',
    "encoded word Q with lower case letter": b'filename="=?utf-8?q?STEM=2EEXT?="',
    "encoded word with language": b'filename="=?utf-8*en?Q?STEM=2EEXT?="',
    "encoded word with unknown charset": b'filename="=?x-none?Q?STEM=2EEXT?="',
    "encoded word in UTF-16": b'filename="=?utf-16be?B?B16?="',
    "encoded word in UTF-7": b'filename="=?utf-7?Q?STEM+AC4-EXT?="',
    "encoded word with a blank inside": b'filename="=?utf-8?Q?the STEM=2EEXT?="',
    "encoded word with text before": b'filename="x =?utf-8?Q?STEM=2EEXT?="',
    "encoded word with text right before": b'filename="x=?utf-8?Q?STEM=2EEXT?="',
    "encoded words, two": b'filename="=?utf-8?Q?STEM?= =?utf-8?Q?=2EEXT?="',
    "encoded words, two without a blank": b'filename="=?utf-8?Q?STEM?==?utf-8?Q?=2EEXT?="',
    "encoded words, two folded": b'filename="=?utf-8?Q?STEM?=\n =?utf-8?Q?=2EEXT?="',
    "encoded words split in a group": b'filename="=?utf-8?B?SPLIT1?= =?utf-8?B?SPLIT2?="',
    "encoded words, one of them broken": b'filename="=?utf-8?Q?STEM?= .EXT =?utf-8?Q?"',
    "encoded words in sections": b'filename*0="=?utf-8?Q?STEM"; filename*1="=2EEXT?="',
}

TYPE_NAMES = {
    "alone": b"name=NAME",
    "quoted": b'name="NAME"',
    "with a word behind": b"name=NAME word",
    "with a comment behind": b"name=NAME (comment)",
    "RFC 2231": b"name*=utf-8''NAME",
    "RFC 2231 in sections": b"name*0=STEM; name*1=.EXT",
    "encoded word": b'name="=?utf-8?Q?STEM=2EEXT?="',
    "given twice": b"name=x.txt; name=NAME",
    "and another in the disposition": b"name=NAME\nContent-Disposition: attachment; filename=x.txt",
    "and an empty one in the disposition": b'name=NAME\nContent-Disposition: attachment; filename=""',
    "called filename": b"filename=NAME",
    "behind an open quote": b'x="y; name=NAME',
    "behind a charset": b"charset=utf-8; name=NAME",
    "behind a comment with a quote": b'(a " b); name=NAME',
}

FIELDS = {
    "disposition without a word": _TYPE + b"Content-Disposition: filename=NAME\n",
    "disposition without a word, semicolon first": _TYPE + b"Content-Disposition: ; filename=NAME\n",
    "disposition without a semicolon": _TYPE + b"Content-Disposition: attachment filename=NAME\n",
    "disposition with a comma": _TYPE + b"Content-Disposition: attachment, filename=NAME\n",
    "disposition with a comment": _TYPE + b"Content-Disposition: attachment (a; b); filename=NAME\n",
    "disposition in quotes": _TYPE + b'Content-Disposition: "attachment"; filename=NAME\n',
    "disposition inline": _TYPE + b"Content-Disposition: inline; filename=NAME\n",
    "disposition with name instead": _TYPE + b"Content-Disposition: attachment; name=NAME\n",
    "disposition form-data": _TYPE + b'Content-Disposition: form-data; name="x"; filename="NAME"\n',
    "two dispositions, the first": _TYPE
    + b"Content-Disposition: attachment; filename=NAME\nContent-Disposition: attachment; filename=x.txt\n",
    "two dispositions, the second": _TYPE
    + b"Content-Disposition: attachment; filename=x.txt\nContent-Disposition: attachment; filename=NAME\n",
    "two dispositions, one without a name": _TYPE + b"Content-Disposition: inline\nContent-Disposition: attachment; filename=NAME\n",
    "disposition with a blank before the colon": _TYPE + b"Content-Disposition : attachment; filename=NAME\n",
    "Content-Name": _TYPE + b"Content-Name: NAME\n",
    "Content-Description": _TYPE + b"Content-Description: NAME\n",
    "Content-Location": _TYPE + b"Content-Location: NAME\n",
    "Content-ID": _TYPE + b"Content-ID: <NAME>\n",
    "type without a semicolon": b"Content-Type: application/octet-stream name=NAME\n",
    "type without a word": b"Content-Type: name=NAME\n",
    "type with a comma": b"Content-Type: a/b, name=NAME\n",
    "type and disposition, each a half": b"Content-Type: a/b; name*0=STEM\nContent-Disposition: attachment; filename*1=.EXT\n",
    "two types": b"Content-Type: a/b; name=x.txt\nContent-Type: a/b; name=NAME\n",
}


def _named(text: bytes) -> Build:
    def build(payload: Payload) -> bytes:
        return mixed(filled(text, payload) + b"Content-Transfer-Encoding: base64\n\n" + encoded(payload))

    return build


def filled(text: bytes, payload: Payload) -> bytes:
    """Put the name of the payload into the fields, in place of NAME, STEM, EXT and other placeholders."""
    name = payload.file
    stem, _, ext = name.rpartition(".")
    whole = base64.b64encode(payload.name)
    forms = {
        b"NAME": payload.name,
        b"STEM": stem.encode(),
        b".E;": f".{ext};".encode(),
        b"EXT": ext.encode(),
        b"CAPITALS": name.upper().encode(),
        b"PERCENT": b"".join(b"%%%02X" % byte for byte in payload.name),
        b"UTF16": b"".join(b"%%%02X" % byte for byte in name.encode("utf-16-be")),
        b"EBCDIC": b"".join(b"%%%02X" % byte for byte in name.encode("cp500")),
        b"BASE64": whole,
        b"BASE6": whole.rstrip(b"="),
        b"B16": base64.b64encode(name.encode("utf-16-be")),
        b"SPLIT1": whole[:6],
        b"SPLIT2": whole[6:],
    }
    upper = text.replace(b"FILENAME", b"\1")
    for word, form in forms.items():
        upper = upper.replace(word, form)
    return upper.replace(b"\1", b"FILENAME")
