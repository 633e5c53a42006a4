"""Demands on the links' listeners: bytes that are no frame cost their sender the link, and no process its life."""

import contextlib
import os
import socket
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from enqueuer.ipc import frames
from enqueuer.lab.trial import Trial
from filterlink.wire.frames import Ask, encode
from filterlink.wire.link import connect
from tests.storm.faults import Fault

Config = Callable[..., str]
Trials = Callable[[str], Trial]
GARBAGE = {
    "one byte": b"\xc1",
    "a zero": b"\0",
    "half a frame": encode(frames.Hello("processor", 1, 1, 1))[:-3],
    "no tag": msgspec.msgpack.encode(["sing", 1, 2]),
    "brackets": b"\x91" * 100_000,
    "not UTF-8": b"\x95\xa5hello\xa2\xff\xfe\x01\x01\x01",
    "too long": b"x" * 200_000,
    "an id over 64 bits": b"\x95\xa3ask\xcf" + b"\xff" * 8 + b"\x01\xa1x\xc2\x01",
    "wrong types": msgspec.msgpack.encode(["hello", 1, "x", None, []]),
}
UNASKED = {
    "a frame before its hello": encode(frames.SpoolChanged()),
    "an answer to nothing": encode(frames.CommandAnswer(1, True, "x")),
    "in force": encode(frames.InForce(99)),
    "idle": encode(frames.Idle()),
    "hello of no child": encode(frames.Hello("manager", 0, 999_999, 1)),
    "hello of generation 0": encode(frames.Hello("manager", 0, 0, 1)),
    "hello of a child that has a link": encode(frames.Hello("manager", 0, 3, 1)),
    "an ask for no filter": encode(Ask(17, 1, "None", False, 10)),
    "an outcome of no job": encode(frames.Outcome(17, 1, "enqueued", ("OUT",), "", (1, 1))),
    "a wake for nothing": encode(frames.Wake("None", 1 << 40)),
}
# By the first pid of each title below: filterlink's children have its title until they are helpers.
TITLES = ("supervisor", "queue manager", "filterlink", "watcher", "logger", "door")


@pytest.mark.parametrize("name", ["supervisor", "manager", "filterlink"])
def test_garbage_costs_its_sender_the_link_and_nothing_else(
    trials: Trials, config: Config, mail: Callable[..., bytes], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with trials(config(processors=1)) as trial:
        monkeypatch.chdir(trial.base)
        trial.wait(lambda: trial.status()["processors"]["running"] == 1, "all run")
        before = {title: trial.pids(title)[:1] for title in TITLES}
        for what, data in (GARBAGE | UNASKED).items():
            with connect(f"Run/{name}.sock") as sock:
                sock.settimeout(8)
                sock.send(data)
                if what in GARBAGE:
                    assert _end(sock), what
            assert trial.status()["state"] == "running", what
        with connect(f"Run/{name}.sock") as sock:
            sock.settimeout(8)
            sock.send(encode(frames.Hello("watcher", 0, 999_999, os.getpid())))
            with contextlib.suppress(BrokenPipeError):  # it may have been refused already
                sock.send(b"\xc1")
            assert _end(sock)
        trial.drop("a", mail("a"))
        trial.wait(lambda: len(trial.outbound()) == 1, "mail goes on")
        assert {title: trial.pids(title)[:1] for title in TITLES} == before
        assert "fault in Enqueuer" not in trial.log()
        trial.wait(lambda: "a link to" in trial.log(), "the log says so")


def _end(sock: socket.socket) -> bool:
    while True:
        try:
            if not sock.recv(1 << 18):
                return True
        except ConnectionResetError:
            return True


def test_a_stranger_gets_no_message(trials: Trials, config: Config, mail: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that says it is a processor, or filterlink, and is no child of the supervisor: mail is not for it."""
    with trials(config(processors=1)) as trial:
        monkeypatch.chdir(trial.base)
        for role in ("processor", "filterlink"):
            with connect("Run/manager.sock") as sock:
                sock.settimeout(8)
                sock.send(encode(frames.Hello(role, 7, 999_999, os.getpid())))
                assert _end(sock), role
        for number in range(5):
            trial.drop(f"a{number}", mail(f"a{number}"))
        trial.wait(lambda: len(trial.outbound()) == 5, "all go their way")


def test_a_caller_that_says_nothing_is_refused(trials: Trials, config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    with trials(config(processors=1)) as trial:
        monkeypatch.chdir(trial.base)
        with connect("Run/supervisor.sock") as sock:
            sock.settimeout(10)
            assert _end(sock)


def test_a_child_whose_link_is_closed_is_replaced(trials: Trials, config: Config, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The supervisor can send it nothing any more; it ends, or is killed, and another one comes."""
    with trials(config(processors=1)) as trial:
        assert trial.process is not None
        (old,) = trial.pids("watcher")
        with Fault(trial.process.pid, "sendto", "ENOBUFS", "1..8", tmp_path):
            trial.configure(config(processors=2))
            trial.wait(lambda: trial.pids("watcher") not in ([], [old]), "another watcher runs", 15)
        trial.wait(lambda: trial.status()["processors"]["running"] == 2, "the revision is in force everywhere", 15)


def test_a_processor_whose_link_is_closed_is_replaced(trials: Trials, config: Config, mail: Callable[..., bytes], tmp_path: Path) -> None:
    """The queue manager cannot send it its job. Without a link it does nothing, so it ends, and its message goes to another."""
    with trials(config(processors=1)) as trial:
        (manager,) = trial.pids("queue manager")
        with Fault(manager, "sendto", "ENOBUFS", "1", tmp_path):
            trial.drop("a", mail("a"))
            trial.wait(lambda: trial.status()["totals"]["enqueued"] == 1, "another one does it")
        assert len(trial.outbound()) == 1
