"""Make queue files by hand: a temporary base directory in which a helper can scan files from anywhere.

To the helper it looks like the directory it would run in, because links show all that is there. But Queue/ and
Submitted/ are its own: what a filter submits during a trial must not go out.
"""

import contextlib
import itertools
import os
import re
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from enqueuer.queue.directory.disk import Disk, Stamp
from enqueuer.queue.directory.ingest import InvalidDrop, ingest, queue_path
from enqueuer.queue.message import envelope
from enqueuer.queue.message.timestamps import in_envelopes

__all__ = ["Handmade", "handmade", "program"]

OWN = ("Queue", "Submitted")
MODE = 0o640
"""Mode of queue files, as in the engine: so a trial shows whether a filter's account may read them."""
_ENVELOPE = re.compile(rb"[PSAOR] ")
_SENDER = b"sender@example.org"
_RECIPIENT = b"recipient@example.org"


class Handmade:
    """Gives each request a queue file of its own: a new name for one of the messages in turn."""

    def __init__(self, store: Path, files: Sequence[Path]) -> None:
        self._disk = Disk()
        self._store = store
        self._count = len(files)
        self._ids = itertools.count(time.time_ns() // 1000)
        self._given: dict[str, tuple[int, Stamp | None]] = {}
        for index, file in enumerate(files):
            self._make(file).rename(store / f"{index}.kept")
            self._renew(index)

    def close(self) -> None:
        self._disk.close()

    def take(self, index: int) -> str:
        """Return the name of a file for this request; the messages take turns."""
        which = index % self._count
        path = queue_path(next(self._ids))
        self._disk.link(str(self._store / f"{which}.lent"), path)
        self._given[path] = (which, self._disk.stamp(path))
        return path

    def back(self, path: str) -> bool:
        """Put the file away. Return False if the filter changed it; then later ones come from a new copy."""
        which, stamp = self._given.pop(path)
        same = self._disk.stamp(path) == stamp
        self._disk.unlink(path)
        if not same:
            self._renew(which)
        return same

    def _renew(self, which: int) -> None:
        kept = self._store / f"{which}.kept"
        lent = self._store / f"{which}.lent"
        lent.unlink(missing_ok=True)
        shutil.copy(kept, lent)
        os.chown(lent, -1, kept.stat().st_gid)

    def _make(self, file: Path) -> Path:
        """Return a queue file as it is, or one made from a plain message. Raises OSError."""
        id = next(self._ids)
        at = in_envelopes(time.time())
        path = Path(queue_path(id))
        with file.open("rb") as source:
            is_queue_file = _ENVELOPE.match(source.read(2))
        if is_queue_file:
            _write(path, file.read_bytes())
            return path
        try:
            ingest(self._disk, id, str(file), at, "localhost")
        except InvalidDrop:  # usually it has no recipient: any will do
            lines = envelope.make(_SENDER, [_RECIPIENT], at, "localhost")
            _write(path, lines.above + b"O L\n" + lines.below + file.read_bytes())
        return path


def _write(path: Path, data: bytes) -> None:
    """Write a new file. In Queue/ a filter's account may write, too, and could plant a link there."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, MODE)
    with open(fd, "wb") as file:  # noqa: PTH123  (a descriptor)
        os.fchmod(fd, MODE)
        file.write(data)


@contextlib.contextmanager
def handmade(where: Path, files: Sequence[Path]) -> Iterator[Handmade]:
    """Enter a temporary base directory that represents `where`, with these files as its messages; remove it at the end."""
    files = [file.absolute() for file in files]
    before = Path.cwd()
    with tempfile.TemporaryDirectory(prefix="enqueuer-", ignore_cleanup_errors=True) as folder:
        base = Path(folder, "base")
        store = Path(folder, "store")
        os.chmod(folder, 0o711)
        for each in (base, store, *(base / name for name in OWN)):
            each.mkdir()
        for name in OWN:
            _make_alike(base / name, where / name)
        for entry in where.absolute().iterdir():
            if entry.name not in OWN:
                (base / entry.name).symlink_to(entry)
        os.chdir(base)
        try:
            with contextlib.closing(Handmade(store, files)) as made:
                yield made
        finally:
            os.chdir(before)


def _make_alike(folder: Path, model: Path) -> None:
    """Give a folder the group and mode of `model`, if that exists: new files take the group if it is setgid.

    Another account's folder is not copied: its mode may let all write.
    """
    with contextlib.suppress(FileNotFoundError, PermissionError):
        told = model.stat()
        if told.st_uid not in (0, os.geteuid()):
            return
        os.chown(folder, -1, told.st_gid)
        folder.chmod(stat.S_IMODE(told.st_mode))


def program(words: Sequence[str], where: Path) -> list[str]:
    """Return the words of a command, with absolute paths for those that lead out of `where`."""
    return [str(where.absolute() / word) if word.startswith("../") and (where / word).exists() else word for word in words]
