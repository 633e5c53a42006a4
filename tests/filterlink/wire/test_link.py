"""Links: frames come whole and in order, the end is told once, and after the last frame only."""

import errno
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from filterlink.wire import link as link_module
from filterlink.wire.frames import MAX_FRAME
from filterlink.wire.link import Channel, Link, connect, listen, serve
from filterlink.wire.loop import Loop


class Peers:
    """A listener in a loop, the link it accepts, and what that link hears."""

    def __init__(self) -> None:
        self.loop = Loop()
        self.listener = listen("link")
        self.heard: list[Any] = []
        self.ended: list[Link] = []
        self.links: list[Link] = []
        serve(self.loop, self.listener, self._accepted)

    def _accepted(self, sock: socket.socket) -> None:
        self.links.append(Link(self.loop, sock, bytes, lambda _, frame: self.heard.append(frame), self.ended.append))

    def connect(self) -> tuple[Channel, Link]:
        """A caller's end and ours."""
        count = len(self.links)
        channel = Channel(connect("link"))
        self.until(lambda: len(self.links) > count)
        return channel, self.links[-1]

    def until(self, condition: Any) -> None:
        end = time.monotonic() + 10
        while not condition():
            assert time.monotonic() < end
            self.loop.turn(0.02)

    def close(self) -> None:
        for each in self.links:
            each.close()
        self.loop.forget(self.listener.fileno())
        self.listener.close()
        self.loop.close()


@pytest.fixture
def peers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Peers]:
    monkeypatch.chdir(tmp_path)
    peers = Peers()
    yield peers
    peers.close()


def test_frames_come_whole_and_in_order(peers: Peers) -> None:
    """Up to the longest frame, in both directions."""
    channel, link = peers.connect()
    frames = [b"a", b"b" * MAX_FRAME, b"c" * 1000]
    for frame in frames:
        assert channel.send(frame)
        peers.until(lambda frame=frame: peers.heard and peers.heard[-1] == frame)
        link.send(frame)
        assert channel.receive() == frame

    assert peers.heard == frames
    channel.close()


def test_the_end_is_told_once_and_last(peers: Peers) -> None:
    """What a peer sent before it left is heard before its end."""
    channel, link = peers.connect()
    for number in range(100):
        channel.send(b"%d" % number)
    channel.close()
    peers.until(lambda: peers.ended)

    assert peers.heard == [b"%d" % number for number in range(100)]
    assert (peers.ended, link.closed) == ([link], True)


def test_a_killed_peers_last_frames_are_read(peers: Peers) -> None:
    """A peer that dies with unread frames in its socket leaves ECONNRESET; its own frames come all the same."""
    channel, link = peers.connect()
    link.send(b"never read")
    channel.send(b"last words")
    channel.close()
    peers.until(lambda: peers.ended)

    assert peers.heard == [b"last words"]


def test_sending_never_blocks(peers: Peers) -> None:
    """Frames for a peer that does not read wait, and arrive in order when it does."""
    channel, link = peers.connect()
    frames = [b"%5d" % number * 1000 for number in range(500)]
    for frame in frames:
        link.send(frame)
    heard: list[bytes] = []
    while len(heard) < len(frames):
        heard.append(channel.receive())
        peers.loop.turn(0)

    assert heard == frames
    channel.close()


def test_a_peer_that_never_reads_is_given_up(peers: Peers, monkeypatch: pytest.MonkeyPatch) -> None:
    """The frames that wait for one peer are bounded."""
    monkeypatch.setattr(link_module, "MAX_UNSENT", 50)
    channel, link = peers.connect()
    for _ in range(5000):
        link.send(b"x" * 1000)

    assert (peers.ended, link.closed) == ([link], True)
    channel.close()


def test_sending_to_the_dead(peers: Peers) -> None:
    """A channel says that its peer is gone; a link hears it from its end."""
    channel, link = peers.connect()
    link.close()

    assert not channel.send(b"x")
    assert channel.receive() == b""
    link.send(b"x")
    assert peers.ended == []
    channel.close()


def test_read_to_end(peers: Peers) -> None:
    """All frames of a peer known to be dead are taken at once."""
    channel, link = peers.connect()
    for number in range(200):
        channel.send(b"%d" % number)
    channel.close()
    link.read_to_end()

    assert (len(peers.heard), peers.ended) == (200, [link])


def test_a_talkative_peer_shares_the_loop(peers: Peers) -> None:
    """One turn takes a bounded number of frames from one peer."""
    channel, _ = peers.connect()
    for _ in range(150):
        channel.send(b"x")
    peers.loop.turn(0)

    assert 0 < len(peers.heard) < 150
    channel.close()


def test_a_burst_is_read_in_one_turn(peers: Peers) -> None:
    """As long as it lasts, and to the end of the link; the rest in the next turn."""
    channel, link = peers.connect()
    link.burst = 3
    for number in range(5):
        channel.send(b"%d" % number)
    peers.loop.turn(0.02)
    assert peers.heard == [b"0", b"1", b"2"]
    peers.loop.turn(0.02)
    assert (peers.heard, peers.ended) == ([b"0", b"1", b"2", b"3", b"4"], [])
    channel.send(b"5")
    channel.close()
    peers.loop.turn(0.02)
    assert (peers.heard[5:], peers.ended) == ([b"5"], [link])


def test_handlers_can_be_changed(peers: Peers) -> None:
    """The first frame says who calls; its owner takes over from then on."""
    channel, link = peers.connect()
    others: list[bytes] = []
    channel.send(b"hello")
    peers.until(lambda: peers.heard)
    link.handle(lambda _, frame: others.append(frame), lambda _: others.append(b"end"))
    channel.send(b"a")
    channel.close()
    peers.until(lambda: b"end" in others)

    assert (peers.heard, others) == ([b"hello"], [b"a", b"end"])


def test_an_abandoned_link_leaves_the_loop_alone(peers: Peers) -> None:
    """A forked child closes its copy; the parent's goes on. (The two shared a descriptor; here the copy is a dup.)"""
    channel, link = peers.connect()
    copy = Link(Loop(), link._sock.dup(), bytes, lambda *_: None, lambda _: None)
    copy.abandon()
    copy._loop.close()
    channel.send(b"x")
    peers.until(lambda: peers.heard)

    assert copy.closed
    channel.close()


def test_a_listener_replaces_a_stale_one(peers: Peers) -> None:
    """A path left by a dead engine is no obstacle, and is for its owner only."""
    listen("link").close()
    listener = listen("link")

    assert os.stat("link").st_mode & 0o777 == 0o600
    listener.close()


def test_connecting_to_nobody(peers: Peers) -> None:
    """No listener is an error for the caller, and no leaked socket."""
    with pytest.raises(FileNotFoundError):
        connect("nobody")


def test_our_own_bugs_are_not_swallowed(peers: Peers) -> None:
    """A frame that no record can hold is an error of ours, not an end of the peer."""
    channel, _ = peers.connect()
    with pytest.raises(OSError, match="too long") as raised:
        channel.send(b"x" * 10_000_000)

    assert raised.value.errno == errno.EMSGSIZE
    channel.close()


def _garbled(data: memoryview) -> bytes:
    if bytes(data) == b"\xc1":
        raise ValueError("no frame")
    return bytes(data)


def test_garbage_ends_the_link_once(peers: Peers, caplog: pytest.LogCaptureFixture) -> None:
    """The owner hears of the end in a later turn, not in the middle of what it does; a flood of such links is few lines."""
    ended: list[Link] = []
    for _ in range(50):
        channel, link = peers.connect()
        link._decode = _garbled
        link._on_end = ended.append
        channel.send(b"good")
        channel.send(b"\xc1")
        channel.send(b"more")
        peers.until(lambda link=link: link in ended)
        assert channel.receive() == b""
        channel.close()

    assert len(ended) == 50
    assert peers.heard == [b"good"] * 50
    assert 1 <= len([each for each in caplog.records if "is closed" in each.getMessage()]) <= 9


def test_garbage_on_a_vital_link_is_raised(peers: Peers) -> None:
    """A process that cannot understand its supervisor is of no use."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    link = Link(peers.loop, ours, _garbled, lambda _link, _frame: None, lambda _link: None, vital=True)
    theirs.send(b"\xc1")
    with pytest.raises(ValueError, match="no frame"):
        peers.until(lambda: False)
    link.close()
    theirs.close()


def test_callers_that_connect_all_the_time_do_not_keep_the_loop_from_the_others(peers: Peers) -> None:
    callers = [connect("link") for _ in range(3 * link_module.ACCEPTS)]
    peers.loop.turn(0)
    assert len(peers.links) == link_module.ACCEPTS
    peers.until(lambda: len(peers.links) == len(callers))
    for each in callers:
        each.close()
