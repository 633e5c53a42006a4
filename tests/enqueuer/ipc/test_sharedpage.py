"""A value that one process writes and others read."""

import mmap

import pytest

from enqueuer.ipc.sharedpage import SharedPage


@pytest.fixture
def map() -> mmap.mmap:
    return mmap.mmap(-1, 4096)


def test_what_is_published_is_read(map: mmap.mmap) -> None:
    page = SharedPage(map, 64, 256, list[str], ["first"])
    assert page.read() == ["first"]
    page.publish(["a", "b"])
    page.publish(["c"])
    assert page.read() == ["c"]
    assert (map[:64], map[320:]) == (bytes(64), bytes(4096 - 320))


def test_what_does_not_fit_is_not_stored(map: mmap.mmap) -> None:
    page = SharedPage(map, 64, 256, list[str], [])
    page.publish(["fits"])
    page.publish(["x" * 300])
    assert page.read() == ["fits"]
    assert map[320:] == bytes(4096 - 320)


def test_a_writer_that_died_leaves_the_last_good_value(map: mmap.mmap) -> None:
    """An odd version means that the bytes may be mixed. The next writer goes on."""
    page = SharedPage(map, 64, 256, list[str], [])
    page.publish(["good"])
    assert page.read() == ["good"]
    map[64] |= 1
    map[80:90] = b"\xff" * 10
    assert page.read() == ["good"]
    page.publish(["next"])
    assert page.read() == ["next"]
