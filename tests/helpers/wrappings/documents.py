"""Wrap payloads in documents: Outlook messages, OLE, RTF and PDF."""

from collections.abc import Callable, Iterator

from tests.helpers import boxes
from tests.helpers.wrappings.base import Payload, Wrapping, attached, variants
from tests.helpers.wrappings.zipmaker import Entry, zipped

__all__ = ["wrappings"]


def wrappings() -> Iterator[Wrapping]:
    """Yield all wrappings of this module."""
    yield from variants("containers", "document", {name: attached(file, make) for name, (file, make) in _DOCUMENTS.items()})


def _object(payload: Payload) -> bytes:
    return boxes.ole({("\1Ole10Native",): boxes.package(payload.file, payload.data)})


_DOCUMENTS: dict[str, tuple[str, Callable[[Payload], bytes]]] = {
    "Outlook message": ("a.msg", lambda p: boxes.msg((p.file, p.data))),
    "Outlook message with two files": ("a.msg", lambda p: boxes.msg(("a.txt", b"a clean text\n"), (p.file, p.data))),
    "Outlook message called .dat": ("a.dat", lambda p: boxes.msg((p.file, p.data))),
    "Outlook message in a zip": ("a.zip", lambda p: zipped(Entry(b"a.msg", boxes.msg((p.file, p.data))))),
    "OLE package": ("a.doc", _object),
    "OLE package in a docx": ("a.docx", lambda p: zipped(Entry(b"word/embeddings/oleObject1.bin", _object(p)))),
    "OLE stream": ("a.doc", lambda p: boxes.ole({(p.file,): p.data})),
    "RTF package": ("a.rtf", lambda p: boxes.rtf(boxes.package(p.file, p.data))),
    "PDF attachment": ("a.pdf", lambda p: boxes.pdf(p.file, p.data)),
}
