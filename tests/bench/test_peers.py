"""Demands on the drivers of the peers: what they start answers, and what they cannot start they name."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.peers.multiplexers import Programs, bare, filterlink, mimedefang
from bench.peers.parts import Missing, need, public_folder


@pytest.fixture
def folder() -> Iterator[Path]:
    with public_folder() as path:
        yield path


@pytest.fixture(params=["clients in C", "clients in Python"])
def programs(folder: Path, request: pytest.FixtureRequest) -> Programs:
    if shutil.which("cc") is None:
        pytest.skip("no C compiler: apt install gcc libc6-dev")
    return Programs.in_folder(folder, None, python=request.param == "clients in Python")


@pytest.mark.parametrize("pipelining", [True, False])
def test_clients_ask_filterlink(programs: Programs, folder: Path, pipelining: bool) -> None:
    """The clients of load.c and load.py speak the frames of filterlink/wire/frames.py, and the helper of noop.c its protocol."""
    with filterlink(programs, folder / "link", pipelining=pipelining) as asked:
        assert asked.rate(4, 400) > 0


def test_clients_ask_the_bare_multiplexer(programs: Programs, folder: Path) -> None:
    """It answers each of several clients, as filterlink would, and goes on when they have gone."""
    with bare(programs, folder / "bare") as asked:
        assert [asked.rate(clients, 1000) > 0 for clients in (8, 1)] == [True, True]


@pytest.mark.server
def test_clients_ask_mimedefang(programs: Programs, folder: Path) -> None:
    """The same clients and helper with MIMEDefang's multiplexor."""
    try:
        with mimedefang(programs, folder / "defang", 2) as asked:
            assert asked.rate(2, 400) > 0
    except Missing as missing:
        pytest.skip(str(missing))


def test_a_peer_that_is_not_there() -> None:
    """It is named with the cure."""
    with pytest.raises(Missing, match="no-such-program is missing: apt install no-such-package"):
        need("no-such-package", "no-such-program")
