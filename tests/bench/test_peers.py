"""Demands on the drivers of the peers: what they start answers, and what they cannot start they name."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.bench_doors import doors
from bench.mail import message
from bench.peers.milter import ask_clamd, ask_milter, mimedefang_milter
from bench.peers.multiplexers import Programs, bare, filterlink, mimedefang
from bench.peers.parts import Missing, compiled, need, public_folder
from bench.peers.postfix import entrances
from bench.peers.smtp import accepted
from tests.filterlink.filters.daemons import EICAR, Clamd


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


@pytest.mark.server
def test_clients_ask_a_milter_door_and_clamd(folder: Path) -> None:
    """The clients of milterload.c get through a whole message on both kinds of sockets; those of clamdload.c know what is clean."""
    if shutil.which("cc") is None:
        pytest.skip("no C compiler: apt install gcc libc6-dev")
    mail = folder / "mail"
    mail.write_bytes(message(100_000))
    with doors(folder, str(compiled("noop", folder))) as ours:
        for address in (ours.unix, ours.tcp):
            tally = ask_milter(folder, address, 4, 40, mail)
            assert tally.rate > 0
            assert 0 < tally.p50 <= tally.p99
        ours.trial.wait(lambda: sum(each["accepted"] for each in ours.trial.status()["doors"]) == 80, "the doors count them")
        ours.trial.configure((ours.trial.base / "Settings/enqueuer.toml").read_text().replace('max_size = "200M"', 'max_size = "1K"'))
        ours.trial.wait(lambda: "configuration 2 accepted" in ours.trial.log(), "the size is limited")
        with pytest.raises(RuntimeError, match="2 of 2 messages were refused"):
            ours.trial.wait(lambda: ask_milter(folder, ours.unix, 1, 2, mail) is None, "too large")
    (folder / "clamd").mkdir()
    daemon = Clamd(folder / "clamd").start()
    try:
        assert ask_clamd(folder, daemon.socket, 2, 20, mail).rate > 0
        mail.write_bytes(EICAR)
        with pytest.raises(RuntimeError, match="20 of 20 messages were refused"):
            ask_clamd(folder, daemon.socket, 2, 20, mail)
    finally:
        daemon.kill()


@pytest.mark.server
@pytest.mark.parametrize("in_c", [False, True], ids=["its own worker", "worker in C"])
def test_postfix_asks_mimedefang(folder: Path, in_c: bool) -> None:
    """Its worker lets each message pass, and Postfix throws it away."""
    try:
        with (
            mimedefang_milter(folder / "defang", 2, in_c=in_c) as milter,
            entrances(folder / "postfix", {"bare": "", "defang": milter}) as ports,
        ):
            assert [accepted(port, 2, 20, 1000) > 0 for port in ports.values()] == [True, True]
    except Missing as missing:
        pytest.skip(str(missing))


def test_a_peer_that_is_not_there() -> None:
    """It is named with the cure."""
    with pytest.raises(Missing, match="no-such-program is missing: apt install no-such-package"):
        need("no-such-package", "no-such-program")
