"""Demands on the asking end: one answer, whatever dies meanwhile."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from filterlink.server import MultiplexerServer
from filterlink.wire.client import Client, wait_readable
from filterlink.wire.frames import AnswerKind, Ask, FilterAnswer, Hello, Park, VerdictFrame, encode
from filterlink.wire.link import Channel, listen

Rigs = Callable[..., Any]
HELLO = Hello("processor", 3, 17, os.getpid())


class Peer:
    """The other end, played by hand."""

    def __init__(self, base: Path) -> None:
        self.listener = listen(str(base / "link"))
        self.channel: Channel | None = None

    def accept(self) -> Channel:
        self.close()
        self.channel = Channel(self.listener.accept()[0])
        assert self.channel.receive() == encode(HELLO)
        return self.channel

    def close(self) -> None:
        if self.channel is not None:
            self.channel.close()
            self.channel = None


@pytest.fixture
def peer(base: Path) -> Any:
    peer = Peer(base)
    yield peer
    peer.close()
    peer.listener.close()


@pytest.fixture
def client(peer: Peer) -> Any:
    client = Client("link", HELLO)
    yield client
    client.close()


def test_hello_comes_first_and_once(peer: Peer, client: Client) -> None:
    """A link begins with who calls; then come the questions."""
    question = Ask(1, 1, "F", False, 10)

    def wait(fd: int) -> None:
        channel = peer.channel or peer.accept()
        assert channel.receive() == encode(question)
        channel.send(encode(VerdictFrame(1, 1, "F", FilterAnswer(AnswerKind.OK))))
        wait_readable(fd)

    assert client.ask(question, wait) == VerdictFrame(1, 1, "F", FilterAnswer(AnswerKind.OK))
    assert client.ask(question, wait) == VerdictFrame(1, 1, "F", FilterAnswer(AnswerKind.OK))


def test_answers_to_other_questions_are_passed_over(peer: Peer, client: Client) -> None:
    """A late answer to an abandoned dispatch, message or filter is not the answer."""
    others = [
        VerdictFrame(1, 1, "F", FilterAnswer(AnswerKind.ERROR)),
        VerdictFrame(2, 2, "F", FilterAnswer(AnswerKind.ERROR)),
        Park(1, 2, "G"),
    ]

    def wait(fd: int) -> None:
        if peer.channel is None:
            channel = peer.accept()
            for frame in (*others, Park(1, 2, "F", "busy")):
                channel.send(encode(frame))
        wait_readable(fd)

    assert client.ask(Ask(1, 2, "F", False, 10), wait) == Park(1, 2, "F", "busy")


def test_asked_again_when_the_link_ends(peer: Peer, client: Client) -> None:
    """The question is asked anew on each new link, as often as it takes."""
    question = Ask(1, 2, "F", False, 10)
    links = []

    def wait(fd: int) -> None:
        links.append(peer.accept())
        assert links[-1].receive() == encode(question)
        if len(links) < 3:
            peer.close()
        else:
            links[-1].send(encode(VerdictFrame(1, 2, "F", FilterAnswer(AnswerKind.DISCARD))))
        wait_readable(fd)

    assert client.ask(question, wait) == VerdictFrame(1, 2, "F", FilterAnswer(AnswerKind.DISCARD))
    assert len(links) == 3


def test_abandoned(peer: Peer, client: Client) -> None:
    """What `wait` raises ends the question; the link stays good for the next one."""

    def leave(_fd: int) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        client.ask(Ask(1, 1, "F", False, 10), leave)
    channel = peer.accept()
    channel.send(encode(VerdictFrame(1, 1, "F", FilterAnswer(AnswerKind.ERROR, "late"))))
    channel.send(encode(VerdictFrame(2, 1, "F", FilterAnswer(AnswerKind.OK))))

    assert client.ask(Ask(2, 1, "F", False, 10)) == VerdictFrame(2, 1, "F", FilterAnswer(AnswerKind.OK))


def test_the_next_multiplexer_answers(rig: Rigs, base: Path) -> None:
    """A multiplexer that ends leaves its questions to the one that serves the listener next."""
    here = rig("say.sh")
    turns: list[MultiplexerServer] = []

    def wait(fd: int) -> None:
        if not turns:
            here.until(lambda: here.states and here.states[0].in_flight == 1)
            turns.append(here.server)
            here.stop()
            here.server.close()
            (base / "Queue/4.msg").write_text("%N DISCARD\n")
            settings = next(iter(here.server._succession.judging.values())).settings
            here.server = MultiplexerServer(here.loop, here.listener, [settings], here.wakes.append, lambda _: None, 1000)
            here.server.start()
        else:
            here.wait(fd)

    assert here.client().ask(Ask(4, 1, "Test", False, 10, False), wait).answer.kind == AnswerKind.DISCARD
