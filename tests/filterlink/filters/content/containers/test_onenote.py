from filterlink.filters.content.archive import members
from tests.helpers.boxes import onenote

DATA = b"MZ\x90\0 the payload" * 20


def test_attached_files() -> None:
    """Each, whole; what is cut is flagged."""
    data = onenote(DATA)
    assert [(one.data, one.flag) for one in members(data)] == [(DATA, "")]
    assert [(one.data, one.flag) for one in members(data[: data.index(DATA) + 50])] == [(DATA[:50], "broken")]


def test_files_that_hold_each_other_have_a_limit() -> None:
    """Each claims all the rest of the page."""
    data = onenote(b"")
    mark = data[2016:2032] + b"\xff\xff\xff\0".ljust(20, b"\0")
    assert [one.flag for one in members(data[:2016] + mark * 20_000)][-1] in ("bomb", "limit")
