"""The lists of State/lists/, whatever is there."""

import os
from pathlib import Path

import pytest

from enqueuer.system.remembered import RememberedLists

NOW = 1_800_000_000.0


def test_an_address_is_there_and_due_once(tmp_path: Path) -> None:
    lists = RememberedLists(str(tmp_path / "lists"))
    assert lists.read("known") == {}
    assert lists.add("known", b"Ann@Example.org", NOW, 60)
    assert not lists.add("known", b"ann@example.ORG", NOW + 59, 60)
    assert lists.add("known", b"ann@example.org", NOW + 60.7, 60)
    assert not lists.add("known", b"ann@example.org", NOW + 60.8, 60), "its time is rounded up"
    assert "ann@example.org" in RememberedLists(str(tmp_path / "lists")).read("known")


@pytest.mark.parametrize("name", ["known.txt", "known.txt.tmp"])
def test_a_fifo_does_not_block(name: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / name)
    lists = RememberedLists(str(tmp_path))
    assert lists.add("known", b"ann@example.org", NOW)
    assert list(lists.read("known")) == ["ann@example.org"]


@pytest.mark.parametrize("line", [b"\xff\xfe\0", b"%d ann@x" % (NOW + 9e8), b"9" * 400 + b" ann@x", b"-5 ann@x", b"1 "])
def test_a_damaged_list_stops_nothing(line: bytes, tmp_path: Path) -> None:
    """A time to come would silence all replies to an address."""
    (tmp_path / "known.txt").write_bytes(line + b"\n")
    assert RememberedLists(str(tmp_path)).add("known", b"ann@x", NOW)


@pytest.mark.parametrize("address", [b"", b"a\nb@x", b"\xe2\x80\xae@x"])
def test_an_address_that_is_no_line_is_left_out(address: bytes, tmp_path: Path) -> None:
    assert not RememberedLists(str(tmp_path)).add("known", address, NOW)
