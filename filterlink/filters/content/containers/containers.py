"""Files that hold files but are not archives: choose the module that opens them, by their content. Each opener keeps to the budget.

An opener never raises. It flags what it cannot open: unopened, encrypted, broken, or limit for what exceeds one.
"""

from collections.abc import Callable, Iterator

from filterlink.filters.content.containers import binhex, cms, compound, lzfu, onenote, pdf, rtf, tnef
from filterlink.filters.content.images import disk
from filterlink.filters.content.limits.member import Budget, Member

__all__ = ["is_container", "opened"]

Opener = Callable[[bytes, str, Budget], Iterator[Member]]

_UNOPENED = (
    b"ITSF",  # compiled help (.chm)
    b"?_\x03\0",  # Windows help
    b"KWAJ\x88\xf0\x27\xd1",
    b"MSWIM\0\0\0",
    b"hsqs",  # squashfs
    b"QFI\xfb",  # disks of QEMU and VMware
    b"KDMV",
)
"""The first bytes of kinds that hold files and that no module here opens."""
_SIS = b"\x19\x04\0\x10"
_DMG = b"koly"
"""Marks of Symbian's installer, at 8, and of macOS' images, in their last 512 bytes."""


def _is_unopened(data: bytes) -> bool:
    return data.startswith(_UNOPENED) or data.startswith(_SIS, 8) or data.startswith(_DMG, max(0, len(data) - 512))


def _unopened(_data: bytes, _name: str, budget: Budget) -> Iterator[Member]:
    yield Member("", b"", budget.count() or "unopened")


KINDS: tuple[tuple[Callable[[bytes], bool], Opener], ...] = (
    (cms.is_cms, cms.opened),
    (tnef.is_tnef, tnef.opened),
    (compound.is_ole, compound.opened),
    (rtf.is_rtf, rtf.opened),
    (pdf.is_pdf, pdf.opened),
    (onenote.is_onenote, onenote.opened),
    (lzfu.is_szdd, lzfu.szdd),
    (binhex.is_binhex, binhex.opened),
    (disk.is_disk, disk.opened),
    (_is_unopened, _unopened),
)
"""How a kind is recognised, and what opens it."""


def is_container(data: bytes) -> bool:
    """Return whether opened() yields something for it."""
    return any(known(data) for known, _ in KINDS)


def opened(data: bytes, name: str, budget: Budget) -> Iterator[Member]:
    """Yield the content of a file called `name`, in each reading."""
    for known, opener in KINDS:
        if known(data):
            yield from opener(data, name, budget)
