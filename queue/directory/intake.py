"""The drop folder, which is hostile ground: list it, claim complete drops, refuse drops that can never be mail.

Names are bytes with anything in them. A drop is opened without following links and without waiting (a FIFO would hang). It must
be a regular file that no process has open for writing. One rename claims it, into .taken/, which only the engine can enter.
"""

import contextlib
import errno
import fcntl
import json
import logging
import os
import signal
import stat
import time
from collections.abc import Iterator
from typing import Literal, TypeVar

import msgspec

from enqueuer.queue.directory import names
from enqueuer.queue.directory.disk import MAX_TIME, Disk, Stamp
from enqueuer.queue.directory.layout import DROPS, TAKEN
from enqueuer.queue.directory.rest import PATIENCE, REST, Rests
from enqueuer.queue.directory.sync import seen_by_this_kernel
from enqueuer.queue.message.printable import printable
from enqueuer.queue.message.timestamps import rfc3339

__all__ = ["SLICE", "Candidate", "Claim", "Intake", "Refusal"]

log = logging.getLogger("SPOOL")

SLICE = 2000
"""Names listed at once: about 5 ms, so that a million names do not stop the queue manager."""
TRIED = 10
"""Numbers tried for another refused drop of the same name. After that the time is its number: counting through thousands would take too
long.
"""
WRITING = (b".tmp", b".part", b".new", b"~")
"""Suffixes under which a program may write a drop before it renames it."""
LEFT_OVER = 3600.0
"""Seconds without a change after which such a file counts as never taken. The same applies to names that begin with a dot."""
NO_OWNER = -1
"""The owner of drops that cannot be read: all of these share one place in what rests."""
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

R = TypeVar("R")
Claim = Literal["taken", "later", "gone"]


class Candidate(msgspec.Struct, order=True, gc=False):
    """A name of the drop folder that looks like mail. It sorts by the time of its last change, which a rename into the folder sets."""

    changed: int
    size: int
    name: bytes


class Refusal(Exception):
    """The engine can never take this drop. The text says why."""


class Intake:
    """Claims drops for the queue manager."""

    def __init__(self, disk: Disk, suffixes: tuple[str, ...], max_size: int) -> None:
        self.disk = disk
        self.configure(suffixes, max_size)
        self.claimed: Stamp = (0, 0)
        """The stamp of the drop that claim() took last: it is committed only if it still has this stamp."""
        self.unseen: dict[int, tuple[bytes, int]] = {}
        """The entries that the last listing could not read, by errno: a name, and how many there are."""
        self.ignored: dict[str, tuple[int, bytes]] = {}
        """The files of the last listing that are never taken, by the reason: how many there are, and the name of one."""
        self._rests = Rests()
        self._leases = seen_by_this_kernel(DROPS)
        # a process that opens a file for writing while we have a lease on it makes the kernel send this signal, which by default ends us
        signal.signal(signal.SIGIO, signal.SIG_IGN)

    def configure(self, suffixes: tuple[str, ...], max_size: int) -> None:
        """Apply the suffixes and the maximal size from now on."""
        self.max_size = max_size
        self._suffixes = tuple(os.fsencode(suffix) for suffix in suffixes)

    def listing(self) -> Iterator[list[Candidate]]:
        """List all names in the folder that look like mail, in slices of SLICE names, in no order. Entries that cannot be read are in
        `unseen`.
        """
        found: list[Candidate] = []
        self.unseen = {}
        self.ignored = {}
        remembered = self._rests.names()
        with os.scandir(os.fsencode(DROPS)) as entries:
            for count, entry in enumerate(entries, 1):
                if entry.name.endswith(self._suffixes) and not entry.name.startswith(b"."):
                    try:
                        status = entry.stat(follow_symlinks=False)
                    except FileNotFoundError:
                        continue
                    except OSError as error:  # it may be a mount of another account's filesystem
                        self.unseen[error.errno or 0] = (entry.name, self.unseen.get(error.errno or 0, (b"", 0))[1] + 1)
                        continue
                    found.append(Candidate(min(max(status.st_ctime_ns, 0), MAX_TIME), status.st_size, entry.name))
                    remembered.discard(entry.name)
                else:
                    self._ignore(entry)
                if count % SLICE == 0:
                    yield found
                    found = []
        for name in remembered:  # these have gone: forget them
            self._rests.forget(name)
        yield found

    def _ignore(self, entry: os.DirEntry[bytes]) -> None:
        """Note an entry that is never taken, unless it is one of ours, or may be a drop that is being written."""
        if entry.name == os.path.basename(os.fsencode(TAKEN)) or entry.name.endswith((b".bad", b".bad.why")):
            return
        hidden = entry.name.startswith(b".")
        if (hidden or entry.name.endswith(WRITING)) and not _is_old(entry):
            return
        wanted = " or ".join(os.fsdecode(suffix) for suffix in self._suffixes)
        why = "its name begins with a dot" if hidden else f"its name does not end in {wanted}"
        self.ignored[why] = self.ignored.get(why, (0, b""))[0] + 1, entry.name

    def claim(self, name: bytes, id: int) -> Claim:
        """Rename a complete drop to .taken/<id>.<NAME>. "later": it is being written. Raises Refusal, or OSError (full disk and others)."""
        path = os.fsencode(DROPS) + b"/" + name
        owner = NO_OWNER
        try:
            status = os.lstat(path)  # lstat, not open: to open a device has effects, and to open a FIFO wakes its writer
            owner = status.st_uid
            _expect_regular(status)
            if self._rests.has(name) and not self._rests.rested(name, status):
                return "later"
            fd = os.open(path, _OPEN)
        except FileNotFoundError:
            return self._settled(name, "gone")
        except OSError as error:
            return self._not_opened(name, owner, error)
        try:
            return self._claim_open(fd, path, name, id)
        except FileNotFoundError:
            if os.path.lexists(path):
                raise  # .taken/ is missing
            return self._settled(name, "gone")
        finally:
            os.close(fd)

    def refuse(self, path: bytes, name: bytes, reason: str) -> bytes | None:
        """Rename the drop at `path` to NAME.bad in the drop folder, with the reason beside it; return the new name. None: the drop is gone.

        The reason is written first, with O_EXCL. Its number is that of both files, so two equal names do not hide each other. Raises
        OSError; then nothing has changed.
        """
        text = json.dumps({"name": printable(name), "reason": reason, "time": rfc3339(time.time())}, indent=1)
        for number in (*range(1, TRIED), time.time_ns()):
            bad, why = (os.fsencode(DROPS) + b"/" + each for each in names.refused(name, number))
            try:
                self._refuse_as(path, bad, why, text + "\n")
            except FileExistsError:
                continue
            except FileNotFoundError:
                return self._settled(name, None)
            return self._settled(name, os.path.basename(bad))
        raise OSError(errno.EEXIST, os.strerror(errno.EEXIST), name)

    def _refuse_as(self, path: bytes, bad: bytes, why: bytes, text: str) -> None:
        fd = os.open(why, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(fd, "w") as file:
                _share(fd, os.lstat(path))
                file.write(text)
            self.disk.rename_new(os.fsdecode(path), os.fsdecode(bad))
        except OSError:
            self.disk.unlink(os.fsdecode(why))
            raise

    def resting(self, candidate: Candidate) -> bool:
        """Return whether a drop rests and is as it was at the last look: then it need not be tried."""
        return self._rests.resting(candidate.name, candidate.size, candidate.changed)

    def changed(self, name: bytes, seconds: float) -> None:
        """Note that the drop is back because its writer went on, though it was taken `seconds` ago. Next time it must rest for longer."""
        told, owner = self._tells(name)
        self._rests.begin(name, owner, seconds + (0.0 if told else REST))

    def _tells(self, name: bytes) -> tuple[bool, int]:
        """Return whether a lease shows its writers, so that it did not rest before it was taken; and its owner."""
        try:
            fd = os.open(os.fsencode(DROPS) + b"/" + name, _OPEN)
        except OSError:
            return False, NO_OWNER
        try:
            return self._leases and _lease(fd) is not None, os.fstat(fd).st_uid
        finally:
            os.close(fd)

    def _claim_open(self, fd: int, path: bytes, name: bytes, id: int) -> Claim:
        status = os.fstat(fd)
        _expect_regular(status)
        if status.st_size > self.max_size:
            raise Refusal(f"{status.st_size} bytes are more than max_size = {self.max_size}")
        leased = _lease(fd)
        if leased is False:
            return "later"
        if status.st_nlink != 1:
            return self._patience(name, status.st_uid, "it has a second hard link")
        if not (leased and self._leases) or self._rests.must(name):
            leased = None
            if not self._rests.rested(name, status):
                return "later"
            if status.st_size == 0:
                raise Refusal("it is empty, and nothing more was written to it")
        elif status.st_size == 0:
            return self._patience(name, status.st_uid, "it is empty")
        target = os.fsencode(TAKEN) + b"/" + names.taken(id, name)
        os.rename(path, target)
        try:
            untouched = _untouched(fd, target, status, leased)
        except OSError:
            self._give_back(target, path)
            raise
        if not untouched:
            self._give_back(target, path)
            return "later"
        self.claimed = status.st_mtime_ns, status.st_size
        return self._settled(name, "taken")

    def _give_back(self, target: bytes, path: bytes) -> None:
        """Undo a claim: the file that was taken is not the one that was checked, or a writer has come and waits for our lease."""
        try:
            self.disk.rename_new(os.fsdecode(target), os.fsdecode(path))
        except FileExistsError:  # another process has used the name again meanwhile: both files stay
            beside = os.fsencode(DROPS) + b"/" + os.path.basename(target)
            self.disk.rename_new(os.fsdecode(target), os.fsdecode(beside))

    def _not_opened(self, name: bytes, owner: int, error: OSError) -> Claim:
        if error.errno == errno.ELOOP:
            raise Refusal("not a regular file but a symbolic link")
        if error.errno == errno.EWOULDBLOCK:  # its owner has a write lease, which is as good as an open file
            return "later"
        if error.errno in (errno.ENXIO, errno.ENODEV):
            raise Refusal("not a regular file but a socket or device")
        if error.errno in (errno.EACCES, errno.EPERM):
            return self._patience(name, owner, "the engine's user may not read it")
        raise error

    def _patience(self, name: bytes, owner: int, reason: str) -> Claim:
        """Wait PATIENCE seconds for the state to pass, then refuse."""
        if not self._rests.patient(name, owner):
            return "later"
        raise Refusal(f"{reason}, for more than {PATIENCE:.0f} seconds")

    def _settled(self, name: bytes, result: R) -> R:
        self._rests.forget(name)
        return result


def _is_old(entry: os.DirEntry[bytes]) -> bool:
    try:
        return time.time() - entry.stat(follow_symlinks=False).st_mtime > LEFT_OVER
    except OSError:
        return False


def _expect_regular(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise Refusal(f"not a regular file but {_kind(status.st_mode)}")


def _share(fd: int, drop: os.stat_result) -> None:
    """Give the readers of a drop, its dropper first, the right to read the reason, and no other account."""
    readers = drop.st_mode & 0o044
    if readers != 0o044:
        try:
            os.fchown(fd, -1, drop.st_gid)
        except OSError:  # a group that the engine is not in
            readers &= 0o004
    if not readers:
        with contextlib.suppress(OSError):  # only root can give files away; otherwise only the engine's account can read it
            os.fchown(fd, drop.st_uid, -1)
    with contextlib.suppress(OSError):  # a filesystem without modes
        os.fchmod(fd, 0o600 | readers)


def _untouched(fd: int, target: bytes, was: os.stat_result, leased: bool | None) -> bool:
    """Return whether the renamed file is the one that was checked, with no other name, and no writer came in between."""
    now = os.fstat(fd)
    there = os.lstat(target)
    same = (now.st_ino, now.st_dev) == (there.st_ino, there.st_dev) and now.st_nlink == 1
    if leased:
        return same and fcntl.fcntl(fd, fcntl.F_GETLEASE) == fcntl.F_RDLCK
    return same and (now.st_size, now.st_mtime_ns) == (was.st_size, was.st_mtime_ns)


def _lease(fd: int) -> bool | None:
    """Return True: no process has it open for writing; False: one has; None: this file or filesystem gives no leases."""
    try:
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as error:
        return False if error.errno == errno.EAGAIN else None
    return True


def _kind(mode: int) -> str:
    kinds = ((stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a FIFO"), (stat.S_ISSOCK, "a socket"), (stat.S_ISLNK, "a symbolic link"))
    return next((text for test, text in kinds if test(mode)), "a device")
