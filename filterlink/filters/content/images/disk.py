"""Disk images: what Windows mounts on a double click (.iso, .img, .vhd, .vhdx), with each filesystem in them.

The same bytes may be several filesystems: a hybrid disc has ISO 9660 and UDF, and the system decides which one it shows. All
of them are read. Pure.
"""

from collections.abc import Callable, Iterator

from filterlink.filters.content.images import fat, iso, ntfs, udf
from filterlink.filters.content.images.image import BAD, Image, ImageFiles, partitions, vhd, vhdx
from filterlink.filters.content.limits.member import Budget, Member

__all__ = ["is_disk", "opened"]

_FILESYSTEMS: tuple[tuple[Callable[[ImageFiles], bool], Callable[[ImageFiles], Iterator[Member]]], ...] = (
    (iso.is_iso, iso.opened),
    (udf.is_udf, udf.opened),
    (fat.is_fat, fat.opened),
    (fat.is_exfat, fat.exfat),
    (ntfs.is_ntfs, ntfs.opened),
)
_TABLE = b"\x55\xaa"
_SMALLEST = 16 << 10
"""Bytes. A disc begins with 32 unused KiB, and no program formats a disk as small as this."""


def is_disk(data: bytes) -> bool:
    if len(data) < _SMALLEST:
        return False
    if data.startswith((b"vhdxfile", b"conectix")) or data[-512:-504] == b"conectix" or data[-511:-503] == b"conectix":
        return True
    whole = ImageFiles(Image(data, 0, len(data)), Budget(0))
    return data[510:512] == _TABLE or any(known(whole) for known, _ in _FILESYSTEMS)


def opened(data: bytes, _name: str, budget: Budget) -> Iterator[Member]:
    """Yield the files of each filesystem of each partition."""
    try:
        image = vhdx(data) or vhd(data) or Image(data, 0, len(data))
        places = list(partitions(image))
    except BAD:
        image = Image(data, 0, len(data))
        places = []
    found = False
    for place in places:
        files = ImageFiles(place, budget)
        for known, opener in _FILESYSTEMS:
            if known(files):
                found = True
                yield from _whole(opener, files)
    if not found and (not places or image.block or image.size < len(data)):
        yield Member("", b"", "unopened")


def _whole(opener: Callable[[ImageFiles], Iterator[Member]], files: ImageFiles) -> Iterator[Member]:
    try:
        yield from opener(files)
    except BAD:
        yield Member("", b"", "broken")
    if files.over:
        yield Member("", b"", "limit")
