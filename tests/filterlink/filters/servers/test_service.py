"""Servers that a test makes on loopback and on Unix sockets."""

import socket
import threading
import time
from pathlib import Path

import pytest

from filterlink.filters.servers.service import Address, Away, ServerGroup, Unavailable, parse

ONE = Address("one", 1)
TWO = Address("two", 2)


def test_addresses_as_options_give_them() -> None:
    """Unix sockets first, then hosts, each with its own port or the common one."""
    expected = [Address("/run/x"), Address("a.example", 3310), Address("::1", 3310), Address("::1", 7), Address("127.0.0.1", 8)]

    assert expected == parse(["/run/x"], ["a.example", "[::1]", "[::1]:7", "127.0.0.1:8"], 3310)


@pytest.mark.parametrize("text", ["", "::1", "a:b", "a:0", "a:65536", "a:1:2", "[a"])
def test_bad_addresses_are_named(text: str) -> None:
    """With the way to write them."""
    with pytest.raises(ValueError, match=r"write HOST"):
        parse([], [text], 3310)


def test_it_connects_by_path_and_by_host(tmp_path: Path) -> None:
    """And closes what it could not use."""
    path = str(tmp_path / "socket")
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_UNIX) as unix:
        unix.bind(path)
        unix.listen()
        for address in (Address(path), Address("127.0.0.1", tcp.getsockname()[1])):
            with address.connect(3.0) as sock:
                assert sock.gettimeout() == 3.0
    with pytest.raises(ConnectionRefusedError):
        Address(path).connect(3.0)


def test_the_next_server_takes_over_and_the_first_is_left_alone() -> None:
    """For a while: each attempt on a dead machine would cost seconds."""
    asked: list[Address] = []

    def attempt(address: Address) -> str:
        asked.append(address)
        if address == ONE:
            raise Unavailable("gone")
        return "done"

    service = ServerGroup([ONE, TWO], 0)

    assert [service.use(attempt), service.use(attempt)] == ["done", "done"]
    assert asked == [ONE, TWO, TWO]


def test_it_waits_for_a_server_that_comes_back() -> None:
    """A message is not failed for a restart."""
    faults = [ConnectionRefusedError(111, "Connection refused"), Unavailable("reloading")]

    def attempt(address: Address) -> str:
        if faults:
            raise faults.pop()
        return "done"

    assert ServerGroup([ONE], 30).use(attempt) == "done"


@pytest.mark.alone
def test_a_long_outage_is_told_at_once() -> None:
    """The first one waits as long as one may, those after it do not; the reason names each server."""

    def attempt(address: Address) -> None:
        raise ConnectionRefusedError(111, "Connection refused")

    service = ServerGroup([ONE, TWO], 0.3)
    waited = []
    for _ in range(3):
        began = time.monotonic()
        with pytest.raises(Away, match=r"one:1: Connection refused; two:2: Connection refused"):
            service.use(attempt)
        waited.append(time.monotonic() - began)

    assert waited[0] >= 0.3
    assert max(waited[1:]) < 0.1


def test_time_for_a_message_is_limited() -> None:
    """A server that hangs uses it up, and nobody else is asked then."""
    asked: list[Address] = []

    def attempt(address: Address) -> None:
        asked.append(address)
        raise TimeoutError("timed out")

    with pytest.raises(Away, match=r"^one:1: timed out$"):
        ServerGroup([ONE, TWO], 30).use(attempt, 0)
    assert asked == [ONE]


def test_an_answer_ends_the_outage() -> None:
    """The next outage may be waited for anew."""
    there = threading.Event()
    calls: list[int] = []

    def attempt(address: Address) -> str:
        calls.append(1)
        if not there.is_set():
            raise Unavailable("down")
        return "done"

    service = ServerGroup([ONE], 0.2)
    with pytest.raises(Away):
        service.use(attempt)
    there.set()
    assert service.use(attempt) == "done"
    there.clear()
    calls.clear()
    with pytest.raises(Away):
        service.use(attempt)

    assert len(calls) > 1
