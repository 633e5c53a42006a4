"""Choose the messages of a trial: the user's own, copies of what waits here, or made ones. Originals are only read."""

import contextlib
import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from enqueuer.lab.ownmail import MailFound, Most, addressed
from enqueuer.queue.directory.layout import TAKEN
from enqueuer.queue.message import envelope as envelopes

__all__ = ["MOST", "TrialMail", "made", "own", "waiting"]

MOST = Most(messages=200, total=64 << 20, each=16 << 20)
"""What a trial keeps in memory; the messages take turns."""
SEEN = 10_000
"""Names in one folder that are read."""


class TrialMail(NamedTuple):
    """Messages, and their origin in words."""

    messages: list[bytes]
    source: str


def own(found: MailFound, source: str) -> TrialMail:
    """Return the user's own mail."""
    return TrialMail([addressed(letter.data) for letter in found.letters], f"{len(found.letters)} of {source}")


def waiting(base: Path) -> TrialMail | None:
    """Return copies of the mail in the queue and the drop folder; None if there is none."""
    found: list[bytes] = []
    taken = 0
    for data in itertools.chain(_queued(base / "Queue"), _dropped(base / "Submitted"), _dropped(base / TAKEN)):
        taken += len(data)
        if taken > MOST.total or len(found) == MOST.messages:
            break
        found.append(data)
    return TrialMail(found, f"{len(found)} copies of what waits in the queue") if found else None


def made() -> TrialMail:
    """Return sample messages of all kinds, without refused ones and the few largest."""
    from enqueuer.lab.samples import samples

    found = [sample.data for sample in samples() if sample.expect != "refused" and len(sample.data) < 1 << 18]
    return TrialMail(found, f"{len(found)} sample messages (--mail measures with your own mail instead)")


def _queued(folder: Path) -> Iterator[bytes]:
    """Yield messages in work: without their envelope lines, but for the same recipients."""
    for data in _contents(folder, ".msg"):
        if (end := envelopes.head_end(data)) < 0:
            continue
        with contextlib.suppress(ValueError):
            recipients = envelopes.parse(data[:end]).recipients
            yield b"".join(b"Envelope-To: <" + each + b">\n" for each in recipients) + data[end:]


def _dropped(folder: Path) -> Iterator[bytes]:
    for data in _contents(folder, ""):
        yield addressed(data)


def _contents(folder: Path, suffix: str) -> Iterator[bytes]:
    """Yield the regular files of a folder. A file that disappears meanwhile or may not be read is skipped."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in itertools.islice(entries, SEEN):
            with contextlib.suppress(OSError):
                status = entry.stat(follow_symlinks=False)
                named = entry.name.endswith(suffix) and not entry.name.startswith(".") and not entry.name.endswith((".tmp", ".bad", ".why"))
                if named and entry.is_file(follow_symlinks=False) and 0 < status.st_size <= MOST.each:
                    with open(os.open(entry.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:  # noqa: PTH123
                        yield file.read(MOST.each)
