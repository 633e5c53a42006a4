"""Run `enqueuer demo`: the main job in a temporary base directory, on sample messages or copies of the user's own; then check the results.

It runs the engine as users do, as a process of its own, and looks at it from outside only: the control socket and the
base directory. enqueuer.cli._demoview shows it.
"""

import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from enqueuer import exits
from enqueuer.control import client
from enqueuer.lab.ownmail import OwnMail, addressed
from enqueuer.lab.samples import SampleMessage
from enqueuer.lab.trial import Trial, TrialError
from enqueuer.log import history
from enqueuer.log.reading import LogFolder
from enqueuer.queue.directory.layout import OUTPUTS
from enqueuer.queue.message.header import header_end

__all__ = ["DemoListener", "DemoResult", "SampleEnd", "collect", "compare", "copies", "drop", "run"]

PATIENCE = 60.0
"""Seconds for all messages; the made ones take about 5 on one slow processor."""
PATIENCE_EACH = 0.5
"""Seconds for each message where there are many."""
POLL = 0.1

Document = dict[str, Any]


class SampleEnd(NamedTuple):
    """Where a message was found."""

    word: str
    path: Path
    reason: str = ""


class DemoResult(NamedTuple):
    """A sample, how it ended, and what is wrong with that ("" = nothing)."""

    sample: SampleMessage
    disposition: SampleEnd | None
    wrong: str


class DemoListener:
    """Gets reports of what happens; this base class ignores them."""

    def status(self, document: Document) -> None:
        """Take the engine's status, several times a second."""

    def done(self, results: Sequence[DemoResult], seconds: float, document: Document) -> None:
        """Take the result of each message."""


def copies(letters: Sequence[OwnMail]) -> list[SampleMessage]:
    """Return the user's own mail as samples: any verdict is right, if each message comes out once and unchanged."""
    return [SampleMessage(f"mail-{number:04}", addressed(letter.data), "any", letter.name) for number, letter in enumerate(letters, 1)]


def run(samples: Sequence[SampleMessage], view: DemoListener, keep: bool = False, say: Callable[[str], None] = print) -> int:
    """Run the demo; return the exit code: 0 if each disposition is the expected one."""
    folder = Path(tempfile.mkdtemp(prefix="enqueuer-demo-"))
    try:
        return _run(folder, samples, view)
    except (TrialError, client.NotRunning) as fault:
        say(f"enqueuer demo: {fault}")
        return exits.SOFTWARE
    finally:
        if keep:
            say(f"kept: {folder / 'spool'}")
        else:
            shutil.rmtree(folder, ignore_errors=True)


def _run(folder: Path, samples: Sequence[SampleMessage], view: DemoListener) -> int:
    with Trial(folder / "spool") as trial:
        began = time.monotonic()
        drop(trial.base, samples)
        document = _watch(trial, len(samples), view)
        seconds = time.monotonic() - began
        if code := trial.stop():
            raise TrialError(f"the engine ended with exit code {code}\n{trial.last_words()}")
    results = compare(samples, collect(trial.base))
    view.done(results, seconds, document)
    return exits.SOFTWARE if any(result.wrong for result in results) else exits.OK


# The engine


def _watch(trial: Trial, count: int, view: DemoListener) -> Document:
    """Report the status until every message has a disposition, or the time is over."""
    deadline = time.monotonic() + max(PATIENCE, PATIENCE_EACH * count)
    while True:
        finished = sum(1 for _ in _outcomes(trial.base)) >= count or time.monotonic() > deadline
        document = trial.status()
        view.status(document)
        if finished:
            return document
        time.sleep(POLL)


# Messages in and out


def drop(base: Path, samples: Sequence[SampleMessage]) -> None:
    """Submit the messages as any program may: written under another name, then renamed."""
    folder = base / "Submitted"
    for sample in samples:
        (folder / f"{sample.name}.tmp").write_bytes(sample.data)
    for sample in samples:
        (folder / f"{sample.name}.tmp").rename(folder / f"{sample.name}.eml")


def _outcomes(base: Path) -> Iterator[tuple[str, Path]]:
    """Yield every message that has a disposition, and the disposition."""
    for disposition, (message, *_) in OUTPUTS.items():
        for path in base.glob(message):
            yield disposition, path


def collect(base: Path) -> dict[str, list[SampleEnd]]:
    """Return how each sample ended, by the name that the Server Log gives for an id."""
    log = LogFolder(base / "SystemLogs").entries()
    names = {id: story.name for id, story in history.stories(entry.line for entry in log).items()}
    found: dict[str, list[SampleEnd]] = {}
    for word, path in _outcomes(base):
        name = path.stem if path.suffix == ".bad" else names.get(int(path.stem.partition("-")[0]), "").removesuffix(".eml")
        found.setdefault(name, []).append(SampleEnd(word, path, _reason(path)))
    return found


def _reason(path: Path) -> str:
    why = path.with_name(path.name + ".why") if path.suffix == ".bad" else path.with_suffix(".why")
    try:
        return str(json.loads(why.read_bytes())["reason"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return ""


def compare(samples: Sequence[SampleMessage], found: dict[str, list[SampleEnd]]) -> list[DemoResult]:
    """Compare each sample with its end: the disposition is right, it came out once, and its body is unchanged."""
    return [
        DemoResult(sample, next(iter(found.get(sample.name, ())), None), _wrong(sample, found.get(sample.name, []))) for sample in samples
    ]


def _wrong(sample: SampleMessage, dispositions: list[SampleEnd]) -> str:
    if len(dispositions) != 1:
        return f"came out {len(dispositions)} times" if dispositions else "lost, or not done in time"
    disposition = dispositions[0]
    if sample.expect not in (disposition.word, "any"):
        return f"should have been {sample.expect}"
    if not _ends_with(disposition.path, _body(sample.data)):
        return "its text was changed"
    return "" if disposition.reason or disposition.word == "enqueued" else "no reason is given"


def _body(data: bytes) -> bytes:
    """Return the empty line after the header and all that follows."""
    end = header_end(data)
    return data[end:] if end >= 0 else b""


def _ends_with(path: Path, body: bytes) -> bool:
    with path.open("rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - len(body)))
        return file.read() == body
