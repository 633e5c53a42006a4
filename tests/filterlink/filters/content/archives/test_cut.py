import pytest

from filterlink.filters.content.archive import members
from filterlink.filters.content.archives.cut import mended
from tests.helpers.wrappings.base import PAYLOADS
from tests.helpers.wrappings.packing import makes_of_packed

ZSTD, LZIP = (makes_of_packed()[suffix][""](PAYLOADS[1]) for suffix in ("zst", "lz"))
DATA = PAYLOADS[1].data
HEAD = b"\x28\xb5\x2f\xfd\0\x58"


def _block(data: bytes, last: int = 0) -> bytes:
    return (len(data) << 3 | last).to_bytes(3, "little") + data


@pytest.mark.parametrize(
    "data",
    [
        LZIP[:-20],
        LZIP[:-4],
        LZIP[:-20] + bytes(20),
        HEAD + _block(DATA) + _block(b"more")[:-2],
        HEAD + _block(DATA),
        b"\x28\xb5\x2f\xfd\x60" + b"\7\0" + _block(DATA),
        b"\x50\x2a\x4d\x18\4\0\0\0junk\x28\xb5\x2f\xfd\4\x58" + _block(DATA, 1) + b"\0\0",
    ],
)
def test_what_is_left_of_a_cut_file(data: bytes) -> None:
    """liblzma and 7-Zip give it."""
    found = list(members(data, "a.x"))

    assert DATA in [one.data for one in found]
    assert "broken" in {one.flag for one in found}


def test_a_whole_file_stays_as_it_is() -> None:
    for data in (ZSTD, LZIP):
        assert [tuple(one) for one in members(data, "a.exe.zst")] == [("a.exe", DATA, "")]


@pytest.mark.parametrize("data", [b"", b"\x28\xb5\x2f\xfd", HEAD + b"\0", HEAD + b"\7\0\0\0", b"\x28\xb5\x2f\xfd\xff" + bytes(9)])
def test_rubbish(data: bytes) -> None:
    """There is nothing to mend, or what there is is small."""
    assert len(mended(data, "zstd", 0)) < 20
    assert mended(b"LZIP\1\x1f" + data, "lzip", 0) == mended(data, "lz4", 0) == b""
