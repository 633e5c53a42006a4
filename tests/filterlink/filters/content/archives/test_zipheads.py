import struct
import time

from filterlink.filters.content.archives.zipheads import central, ends, first_local, local, strict
from tests.helpers.archives import central as entry
from tests.helpers.archives import descriptor, end, extra, unicode_path, zipped
from tests.helpers.archives import local as header


def test_what_a_header_says() -> None:
    """All names, the sizes where they are written, and the way of packing inside of encryption."""
    field = unicode_path(b"b.exe", b"a") + extra(1, struct.pack("<QQ", 7, 5))
    found = local(header(b"a\0.c", b"x", 0, 0, field, packed=0xFFFFFFFF, size=0xFFFFFFFF), 0)
    assert found is not None
    assert (found.names, found.sizes, found.encrypted) == (("a", "a.c", "b.exe"), (5, 7), False)
    found = local(header(b"\x81", b"x", 99, 1, extra(0x9901, b"\2\0AE\3\x08\0")), 0)
    assert found is not None
    assert (found.names, found.method, found.encrypted) == (("ü", "�"), 8, True)
    found = local(header(b"x" * 9999 + b"a.exe", b"x"), 0)
    assert found is not None
    assert (len(found.names[0]), found.names[0][-6:]) == (4096, "xa.exe")


def test_what_is_cut_is_no_header() -> None:
    """Nor what is nowhere."""
    head = header(b"name", b"")
    listed = entry(b"name", b"", 7)
    assert [local(head[:at], 0) for at in range(34)] == [None] * 34
    assert [central(listed[:at], 0) for at in range(46)] == [None] * 46
    assert local(head, -1) is None


def test_where_archives_begin() -> None:
    """By each end record."""
    one = zipped((header(b"a", b"x"), lambda at: entry(b"a", b"x", at)))
    assert ends(b"12345" + one + one)[1] == [5, 5 + len(one)]
    assert ends(b"PK\5\6") == ([], [])


def test_the_first_header_that_may_be_one() -> None:
    """Signatures in a text are none; a hundred thousand of them take no time."""
    one = header(b"name", b"x")
    assert [first_local(data, 1 << 20) for data in (one, b"PK\3\4 text " * 99 + one, b"PK\3\4 text" * 99)] == [0, 99 * 10, -1]
    began = time.process_time()
    assert first_local(b"PK\3\4" * 100_000 + one, 1 << 20) == 400_000
    assert time.process_time() - began < 0.5


def test_the_strict_grammar() -> None:
    """Members one behind the other, then the directory in the same order, then the end."""
    first = header(b"a", b"x" * 99)
    second = header(b"b", b"y", 0)
    later = header(b"c", b"z" * 50, 8, 8, crc=0, packed=0, size=0) + descriptor(b"z" * 50)
    listed = (
        lambda at: entry(b"a", b"x" * 99, at),
        lambda at: entry(b"b", b"y", at, 0),
        lambda at: entry(b"c", b"z" * 50, at, 8, 8),
    )
    whole = zipped((first, listed[0]), (second, listed[1]), (later, listed[2]))
    found = strict(whole)

    assert found is not None
    assert [(one.name, one.method, one.sizes[1]) for one in found] == [("a", 8, 99), ("b", 0, 1), ("c", 8, 50)]
    assert strict(zipped((first, listed[0]), comment=b"hello")) is not None
    assert strict(end(0, 0, 0)) == []
    for other in (
        b"x" + whole,
        whole + b"x",
        whole + whole,
        zipped((first, listed[0]), (b"gap", None), (second, listed[1])),
        zipped((first, listed[0]), (second, None)),
        zipped((first, listed[1]), (second, listed[0])),
        zipped((first, listed[0]), comment=end(0, 0, 0)),
        zipped((header(b"a", b"x" * 99, crc=1), listed[0])),
        zipped((header(b"a", b"x" * 99, field=unicode_path(b"b", b"a")), listed[0])),
        *(whole[:at] for at in range(len(whole))),
    ):
        assert strict(other) is None
