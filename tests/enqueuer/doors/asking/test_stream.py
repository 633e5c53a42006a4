"""A stream socket of a session."""

import socket

import pytest

from enqueuer.doors.asking import stream
from enqueuer.doors.asking.stream import SessionStream
from filterlink.wire.loop import Loop


def test_a_peer_that_does_not_read_the_last_answer_keeps_no_descriptor(monkeypatch: pytest.MonkeyPatch) -> None:
    """The session has ended by then: it counts in no limit of sessions."""
    monkeypatch.setattr(stream, "FLUSH_WITHIN", 0.05, raising=False)
    loop = Loop()
    ours, peer = socket.socketpair()
    with peer:
        found = SessionStream(loop, ours, lambda _: None, lambda: None)
        found.send(b"x" * 900_000)
        found.close(flush=True)
        loop.turn(0.01)
        assert not found.closed
        for _ in range(100):
            if not found.closed:
                loop.turn(0.1)
        assert found.closed
        assert ours.fileno() == -1
    found.close()
    loop.close()
