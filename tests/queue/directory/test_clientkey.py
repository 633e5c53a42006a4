"""Demands on the key of the facts about clients."""

import os
import secrets
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from enqueuer.queue.directory import clientkey
from enqueuer.queue.directory.disk import Disk


def test_made_once_and_for_the_engine_alone(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands at the same time have the same key."""
    made = secrets.token_bytes
    monkeypatch.setattr(secrets, "token_bytes", lambda size: (threading.Event().wait(0.05), made(size))[1])
    assert clientkey.read(disk) == b""
    with ThreadPoolExecutor(8) as threads:
        keys = {each.result() for each in [threads.submit(clientkey.make) for _ in range(8)]}

    assert keys == {clientkey.read(disk)}
    assert len(clientkey.read(disk)) == 32
    assert stat.S_IMODE(os.stat(clientkey.FILE).st_mode) == 0o600


@pytest.mark.parametrize("left", [b"", b"half", b"x" * 100])
def test_what_a_killed_command_left_is_used_again(disk: Disk, left: bytes) -> None:
    Path(clientkey.NEXT).write_bytes(left)

    assert clientkey.make() == clientkey.read(disk)
    assert not Path(clientkey.NEXT).exists()


@pytest.mark.parametrize("odd", [b"", b"short", b"x" * 33])
def test_a_file_that_is_no_key_is_replaced(disk: Disk, odd: bytes) -> None:
    """An empty key would make every forged field right."""
    Path(clientkey.FILE).write_bytes(odd)

    assert clientkey.read(disk) == b""
    assert len(clientkey.make()) == 32
