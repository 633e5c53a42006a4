"""Which files become durable when, between the steps of a batch of messages (store.py), in each of the three ways.

          before commit                     after commit      after finish                       before forget
    group one syncfs                        -                 -                                  -
    each  message and staged files,         Queue/            folders of the outputs,            -
          Staged/ (deferred: Queue/)                          Staged/, .taken/
    off   -                                 -                 -                                  -

All of it runs in the committer's thread. After an OSError nothing of the batch counts as durable.
"""

import contextlib
import ctypes
import logging
import os
import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

from enqueuer.queue.directory import names
from enqueuer.queue.directory.disk import DiskPort, store_folder
from enqueuer.queue.directory.durability import Choice, Durability, Mount, choose, find_mount, leases_tell
from enqueuer.queue.directory.ingest import queue_path
from enqueuer.queue.directory.layout import TAKEN

__all__ = ["Change", "EachSync", "GroupSync", "NoSync", "Sync", "choose_for", "fitting", "seen_by_this_kernel", "start"]

log = logging.getLogger("SPOOL")
MAJOR = 35
"""The level "major" of the Server Log: no problem, but an administrator should read it."""


class Change(NamedTuple):
    """The staged files of dispatch `n` of a message. `places` None: none; the message is deferred, and its file must become durable."""

    id: int
    n: int
    places: tuple[str, ...] | None


class NoSync:
    """Does not sync at all. It is also the base class of the two other ways."""

    in_steps = False
    """Whether committed() and published() do anything: then a batch goes through them together."""

    def __init__(self, disk: DiskPort) -> None:
        self._disk = disk

    def staged(self, changes: Sequence[Change], folders: Collection[str] = ()) -> None:
        """Sync before the commit: the files that processors wrote, other files, and names that changed in other folders."""

    def committed(self) -> None:
        """Sync after the commit, before the drop goes: the decision."""

    def published(self, changes: Sequence[Change]) -> None:
        """Sync after the outputs are at their places, before the last name in Queue/ goes: these places."""

    def everything(self) -> None:
        """Sync what recovery has put in order."""


class GroupSync(NoSync):
    def staged(self, changes: Sequence[Change], folders: Collection[str] = ()) -> None:
        if changes or folders:
            self._disk.sync()

    def everything(self) -> None:
        self._disk.sync()


class EachSync(NoSync):
    in_steps = True

    def staged(self, changes: Sequence[Change], folders: Collection[str] = ()) -> None:
        """Sync the message file too, even if all staged files are copies: a check of the disk loses a name without its inode."""
        files = [queue_path(change.id) for change in changes]
        files += ["Staged/" + names.staged(change.id, change.n, place) for change in changes for place in change.places or ()]
        self._disk.fsync_all(files)
        held = {"Queue"} if any(change.places is None for change in changes) else set()
        staged = {"Staged"} if any(change.places for change in changes) else set()
        for folder in sorted(held | staged):
            self._disk.fsync(folder)
        for path in sorted(set(folders) - held - staged):
            with contextlib.suppress(FileNotFoundError):  # a message that an administrator removed meanwhile
                self._disk.fsync(path)

    def committed(self) -> None:
        self._disk.fsync("Queue")

    def published(self, changes: Sequence[Change]) -> None:
        targets = {os.path.dirname(names.final(change.id, place)) for change in changes for place in change.places or ()}
        for folder in sorted(targets):
            self._disk.fsync(folder)
        if targets:
            self._disk.fsync("Staged")
        if changes:
            self._disk.fsync(TAKEN)

    def everything(self) -> None:
        self._disk.sync()


Sync = NoSync | GroupSync | EachSync
_KINDS: dict[Durability, type[NoSync]] = {"group": GroupSync, "each": EachSync, "off": NoSync}


def start(disk: DiskPort, durability: Durability) -> Sync:
    return _KINDS[durability](disk)


def fitting(disk: DiskPort, wanted: Durability, *, quiet: bool) -> Sync:
    """Return the Sync for `durability = wanted` on the filesystem of the base directory. `quiet`: the log has said it before."""
    choice = choose_for(wanted, store_folder())
    if choice.remark and not quiet:
        log.log(MAJOR, "%s", choice.remark)
    return start(disk, choice.durability)


def choose_for(wanted: Durability, path: str = ".") -> Choice:
    """Return the meaning of `durability = wanted` on the filesystem of `path`."""
    mount = _mount(path)
    return choose(wanted, mount, journal=mount is not None and _has_journal(mount))


def seen_by_this_kernel(path: str = ".") -> bool:
    """Return whether each writer of files on the filesystem of `path` is a process of this machine: only then leases show the writers."""
    mount = _mount(path)
    return leases_tell(mount, 0 if mount is not None else _magic(path))


def _magic(path: str) -> int:
    """Return f_type of statfs(2), the first word of its answer; 0 if there is none."""
    answer = (ctypes.c_long * 64)()
    failed = ctypes.CDLL(None).statfs(os.fsencode(path), answer)
    return 0 if failed else answer[0] & 0xFFFFFFFF


def _mount(path: str) -> Mount | None:
    """Find the mount by its id and not by st_dev: btrfs and overlay give devices that no mount line has."""
    with contextlib.suppress(OSError, ValueError):
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            about = Path(f"/proc/self/fdinfo/{fd}").read_text()
        finally:
            os.close(fd)
        if found := re.search(r"^mnt_id:\s*(\d+)$", about, re.MULTILINE):
            return find_mount(Path("/proc/self/mountinfo").read_text(), int(found[1]))
    return None


def _has_journal(mount: Mount) -> bool:
    """Return whether jbd2 keeps a journal for this device: /proc/fs/jbd2/<device>-<inode>. If that is not readable: False."""
    try:
        device = Path(f"/sys/dev/block/{mount.device}").resolve(strict=True).name
        return any(entry.startswith(device + "-") for entry in os.listdir("/proc/fs/jbd2"))
    except OSError:
        return False
