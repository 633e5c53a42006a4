import bz2
import os

import pytest

from filterlink.filters.content.archives import lastbyte
from filterlink.filters.content.archives.lastbyte import rescued
from filterlink.filters.content.archives.packed import Unpacked, unpacked
from filterlink.filters.content.limits.member import Budget

TEXT = b"to the last byte"


@pytest.mark.parametrize("at", [10, -3])
@pytest.mark.parametrize("text", [TEXT, os.urandom(3 << 20)])
def test_wrong_checksums(at: int, text: bytes) -> None:
    """Of the first block, and of the whole, in a stream of any length."""
    damaged = bytearray(bz2.compress(text, 1))
    damaged[at] ^= 1
    (found, *_) = unpacked(bytes(damaged), "bzip2", Budget(1 << 30))
    whole = text if at < 0 else text[:90_000]
    assert found.data.startswith(whole)
    assert (found.flag, found.names) == ("broken", ())


def test_what_is_known_is_not_said_again() -> None:
    """Nor more than a bound; and what is cut gives what there is."""
    data = b"xx" + bz2.compress(TEXT)
    assert [rescued(data, 2, known, 99) for known in (0, 3, 16, 20)] == [TEXT, TEXT[3:], b"", b""]
    assert rescued(data[:9], 2, 0, 99) == rescued(b"BZh9 and no stream", 0, 0, 99) == b""
    assert len(rescued(bz2.compress(bytes(10 << 20)), 0, 0, 1 << 20) or b"") <= 2 << 20


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """All but the last byte is still there."""
    monkeypatch.setattr(lastbyte, "_library", lambda: None)
    damaged = bytearray(bz2.compress(TEXT))
    damaged[10] ^= 1
    assert list(unpacked(bytes(damaged), "bzip2", Budget(99))) == [Unpacked(TEXT[:-1], "broken", ())]
