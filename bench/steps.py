"""Find the step of a message's way for a stack of Python frames. Pure: the samples of py-spy are text here.

A line of `py-spy record --format raw` is `process PID:"title";...;outer (file.py:1);inner (file.py:2) COUNT`. The innermost
frame in STEPS decides. The rest is "other": a large "other" shows that the table is out of date.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator

import msgspec

__all__ = ["OTHER", "STEPS", "WAIT", "Sample", "by_function", "by_step", "parse", "role_of", "step_of"]

WAIT = "wait"
"""Waits for work, or for a core once there is work: py-spy counts a process that is ready to run as running."""
OTHER = "other"
STEPS = {
    WAIT: "Loop.turn Processor._wait Committer._work Watcher._hear Condition.wait InotifyFD._check_inotify_fd",
    "log lines": "tell Logger._log MultiProcessingHandler.emit Handler.handle LogWriter.emit _Channel.get LogHandler.serve",
    "intake: look": "Spooler._list Spooler._begin Spooler._fill Spooler._sort Intake.listing Backlog.add Backlog.pop",
    "intake: claim": "Spooler._take Spooler._claim Intake.claim Ids.take",
    "dispatch": "Manager._dispatch Manager._send_job Schedule.next Blame.admit",
    "receive outcomes": "Manager._told Link._read_one Link._ready",
    "sync": "Committer.pump Committer._begin Disk.sync Settler._step.<locals>.sync Committer._synced",
    "commit": "Store.commit Store.move DirectorySettlement._move DirectorySettlement.commit Scoreboard.decide",
    "publish": "Store.finish Store.publish Scoreboard.announce",
    "unlink, forget": "Store.forget Schedule.remove",
    "gauges": "Manager._show Scoreboard.set_gauges Schedule.gauges",
    "the loop's round": "Manager._pump Spooler.pump Settler.pump DirectorySettlement.step Settler._carry Loop._run_timers",
    "take the job": "Processor.work",
    "read, ingest": "Processor._message ingest load",
    "rules": "decide Processor._decide",
    "ask the filter": "Client.ask Client._answer",
    "stage": "Processor._stage stage_file stage_why modules_of",
    "answer": "Processor._send",
    "update the scoreboard": "Processor._say Scoreboard.work",
    "take requests": "MultiplexerServer._asked Gate.ask",
    "talk to helpers": "Helper.send Helper._write Helper._readable Helper._read HelperRunner.send HelperPool.send",
    "answer processors": "Desk.tell ExternalFilter.verdict",
    "states, ticks": "MultiplexerServer._tick MultiplexerServer._tell ExternalFilter.state "
    "MultiplexerServer._changed Scoreboard.publish_filters",
    "read the folder's events": "InotifyFD.run EventEmitter.run EventDispatcher.run",
    "hint": "_Hints.on_event",
    "status, config": "Commands._command ConfigFile.poll Supervisor._look_around _Connection._ready _Connection._reply",
}
"""Step -> the functions (qualified names, as py-spy gives them) that it begins in."""
_STEP_OF = {function: step for step, functions in STEPS.items() for function in functions.split()}
_FRAME = re.compile(r"(.*) \((.*?)(?::\d+)?\)")
_PROCESS = re.compile(r'process \d+:"(.*)')


class Sample(msgspec.Struct, frozen=True):
    """One line: how often a stack was found in a process of this role."""

    role: str
    frames: tuple[tuple[str, str], ...]
    """(function, file), the outermost first."""
    count: int


def role_of(title: str) -> str:
    """Return the role of a process by its title in ps: `enqueuer: processor 3` is one of the processors."""
    if not title.startswith("enqueuer: "):
        return "helper"
    role = title.removeprefix("enqueuer: ")
    return "processors" if role.startswith("processor ") else role


def parse(lines: Iterable[str]) -> Iterator[Sample]:
    """Read the output of py-spy."""
    for line in lines:
        stack, _, count = line.rstrip().rpartition(" ")
        parts = stack.split(";")
        titles = [match[1].rstrip('"') for part in parts if (match := _PROCESS.fullmatch(part))]
        frames = tuple((match[1], match[2]) for part in parts if (match := _FRAME.fullmatch(part)) and not part.startswith("thread ("))
        if titles and count.isdigit():
            yield Sample(role_of(titles[-1]), frames, int(count))


def step_of(sample: Sample) -> str:
    """Return the step that the innermost known frame begins."""
    return next((_STEP_OF[function] for function, _ in reversed(sample.frames) if function in _STEP_OF), OTHER)


def by_step(samples: Iterable[Sample]) -> Counter[tuple[str, str]]:
    """Return samples by (role, step)."""
    counts: Counter[tuple[str, str]] = Counter()
    for sample in samples:
        counts[sample.role, step_of(sample)] += sample.count
    return counts


def by_function(samples: Iterable[Sample]) -> Counter[tuple[str, str]]:
    """Return samples by (role, `function (file)`) of the innermost frame, which uses the time itself; without waits."""
    counts: Counter[tuple[str, str]] = Counter()
    for sample in samples:
        if sample.frames and step_of(sample) != WAIT:
            counts[sample.role, "{} ({})".format(*sample.frames[-1])] += sample.count
    return counts
