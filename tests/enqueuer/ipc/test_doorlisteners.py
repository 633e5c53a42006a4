"""Listeners of doors: bound by the supervisor, sent to door processes."""

import os
import socket
import stat
from pathlib import Path

import msgspec
import pytest

from enqueuer.config.doors import Door, ListenAddress
from enqueuer.ipc.doorlisteners import LIMIT, DoorListeners, ListenerError, ListenerNames
from tests.helpers.mta import free_port


@pytest.fixture(autouse=True)
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Run").mkdir()
    return tmp_path


def door(listen: str, name: str = "a", mode: str = "0660", group: str = "") -> Door:
    return Door(name=name, kind="milter", listen=ListenAddress(listen), mode=mode, group=group)


def received(channel: socket.socket) -> dict[str, str | tuple[str, int]]:
    """Take the listeners as a door process does; return their addresses."""
    channel.settimeout(5)
    data, fds, _, _ = socket.recv_fds(channel, 1 << 16, LIMIT)
    found = {}
    for (name, _), fd in zip(msgspec.msgpack.decode(data, type=ListenerNames), fds, strict=True):
        with socket.socket(fileno=fd) as sock:
            found[name] = sock.getsockname()
    return found


def reach(where: str | tuple[str, int]) -> bool:
    with socket.socket(socket.AF_UNIX if isinstance(where, str) else socket.AF_INET) as sock:
        try:
            sock.connect(where)
        except OSError:
            return False
        return True


def test_a_door_process_gets_all_listeners_at_its_start_and_after_each_change() -> None:
    port = free_port()
    listeners = DoorListeners([door(f"inet:127.0.0.1:{port}")])
    channel = listeners.channel(1)
    first = received(channel)
    assert set(first) == {"a", "scan"}
    assert first["a"] == ("127.0.0.1", port)
    more = [door(f"inet:127.0.0.1:{port}"), door("unix:b.sock", "b")]
    listeners.prepare(more)
    listeners.commit(more)
    assert set(received(channel)) == {"a", "b", "scan"}
    assert reach("b.sock")
    listeners.prepare([])
    listeners.commit([])
    left = received(channel)
    assert set(left) == {"scan"}
    assert not reach(("127.0.0.1", port))
    assert not os.path.exists("b.sock")
    channel.close()
    listeners.close()
    assert not os.path.exists("Run/scan.sock")


def test_mode_and_group_of_a_socket_are_set_and_changed_live() -> None:
    listeners = DoorListeners([door("unix:a.sock", mode="0600")])
    assert stat.S_IMODE(os.stat("a.sock").st_mode) == 0o600
    inode = os.stat("a.sock").st_ino
    changed = [door("unix:a.sock", mode="0660", group=str(os.getgid()))]
    listeners.prepare(changed)
    listeners.commit(changed)
    assert stat.S_IMODE(os.stat("a.sock").st_mode) == 0o660
    assert os.stat("a.sock").st_ino == inode
    listeners.close()


@pytest.mark.parametrize(
    ("listen", "group", "says"),
    [
        ("unix:none/a.sock", "", "the folder does not exist"),
        ("unix:file", "", "no socket has this name|exists"),
        ("unix:a.sock", "no-such-group", "there is no group no-such-group"),
        ("inet:203.0.113.1:8891", "", "does not have that address"),
    ],
)
def test_a_door_that_cannot_listen_says_why_and_changes_nothing(base: Path, listen: str, group: str, says: str) -> None:
    (base / "file").write_text("mine")
    listeners = DoorListeners([door("unix:good.sock", "good")])
    with pytest.raises(ListenerError, match=says):
        listeners.prepare([door("unix:good.sock", "good"), door("unix:new.sock", "new"), door(listen, group=group)])
    assert not os.path.exists("new.sock")
    assert reach("good.sock")
    assert (base / "file").read_text() == "mine"
    listeners.close()


@pytest.mark.parametrize("trouble", ["group", "address"])
def test_a_refused_change_of_an_open_door_changes_nothing(trouble: str) -> None:
    """A door process that starts later still finds the door under the name of the active configuration."""
    listeners = DoorListeners([door("unix:a.sock", "a", mode="0600"), door("unix:c.sock", "c")])
    wanted = [door("unix:a.sock", "renamed"), door("unix:c.sock", "c"), door("unix:none/b.sock", "b")]
    if trouble == "group":
        wanted = [door("unix:a.sock", "renamed"), door("unix:c.sock", "c", group="no-such-group")]
    with pytest.raises(ListenerError):
        listeners.prepare(wanted)
    with listeners.channel(1) as channel:
        assert set(received(channel)) == {"a", "c", "scan"}
    assert stat.S_IMODE(os.stat("a.sock").st_mode) == 0o600
    assert reach("a.sock")
    listeners.close()


def test_an_address_in_use_is_a_passing_trouble() -> None:
    with socket.socket() as other, socket.socket(socket.AF_UNIX) as living:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(ListenerError, match="another program listens there") as caught:
            DoorListeners([door(f"inet:127.0.0.1:{other.getsockname()[1]}")])
        assert caught.value.passes
        living.bind("a.sock")
        living.listen()
        with pytest.raises(ListenerError, match="another program listens there"):
            DoorListeners([door("unix:a.sock")])
    DoorListeners([door("unix:a.sock")]).close()  # a socket that nobody serves is replaced


def test_a_removed_socket_is_bound_again() -> None:
    listeners = DoorListeners([door("unix:a.sock")])
    channel = listeners.channel(1)
    received(channel)
    os.unlink("a.sock")
    assert listeners.mend() == ["a.sock"]
    assert reach("a.sock")
    assert "a" in received(channel)
    assert listeners.mend() == []
    channel.close()
    listeners.close()


@pytest.mark.parametrize("step", [1, -1])
def test_a_removed_socket_is_served_again_though_another_one_cannot_be(base: Path, step: int) -> None:
    (base / "b").mkdir()
    listeners = DoorListeners([door("unix:a.sock"), door("unix:b/b.sock", "b")][::step])
    with listeners.channel(1) as channel:
        received(channel)
        os.unlink("a.sock")
        os.unlink("b/b.sock")
        (base / "b").rmdir()
        with pytest.raises(ListenerError, match="the folder does not exist"):
            listeners.mend()
        assert received(channel)["a"] == "a.sock"
    listeners.close()


def test_a_door_keeps_its_socket_when_its_name_changes() -> None:
    listeners = DoorListeners([door("unix:a.sock", "old")])
    channel = listeners.channel(1)
    received(channel)
    inode = os.stat("a.sock").st_ino
    listeners.prepare([door("unix:a.sock", "new")])
    listeners.commit([door("unix:a.sock", "new")])
    assert set(received(channel)) == {"new", "scan"}
    assert os.stat("a.sock").st_ino == inode
    listeners.close()
    channel.close()
