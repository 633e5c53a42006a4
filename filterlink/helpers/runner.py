"""Keep one helper of a filter running: carry out the steps of its Life, and log what the helper says.

This module connects the pure parts (lifecycle, protocol) with the process (helper). The multiplexer decides which helper gets
which request.
"""

import logging
import math
import signal
import time
from collections.abc import Iterator
from typing import Protocol

from filterlink.config.settings import LEVELS, Filter
from filterlink.helpers import unkillable
from filterlink.helpers.helper import Helper, Line
from filterlink.helpers.lifecycle import GENTLE, HASTY, Life, LifeStep, Phase
from filterlink.helpers.spawn import HelperLimits, fault
from filterlink.protocol import protocol
from filterlink.protocol.protocol import Event, HelperReply, Interface, ServerReport
from filterlink.wire.frames import AnswerKind
from filterlink.wire.loop import Loop

__all__ = ["TAIL", "Grumble", "HelperRunner", "Owner"]

MAJOR = LEVELS["major"]  # the level of what happens as planned
TAIL = 1024
"""Bytes of a helper's last stderr output that are kept as the reason of its end."""
LINES_A_SECOND = 20
"""Complaints and stderr lines of one helper that are logged in a second: a flood must not fill the log."""
LINE_SHOWN = 1000
"""Bytes of one stderr line that are logged."""
MISTAKEN = (2, 64, 78, 126, 127)
"""Exit statuses that mean a wrong command line. 2: programs with getopt or argparse, and interpreters that do not find their script.
64 and 78: EX_USAGE and EX_CONFIG of sysexits.h. 126 and 127: a shell that cannot run a command, or finds none."""
ASSUMED = 3
"""The version assumed for helpers that do not answer INTF: the oldest version whose answers are all understood."""


class Owner(Protocol):
    """The owner of a runner."""

    def helper_ready(self, index: int) -> None: ...
    def helper_replies(self, index: int, replies: list[HelperReply]) -> list[HelperReply]: ...
    def helper_asked(self, index: int, number: int) -> int: ...
    def helper_written(self, index: int, numbers: list[int]) -> None: ...
    def helper_server(self, index: int, trouble: str) -> None: ...
    def helper_leaving(self, index: int) -> None: ...
    def helper_gone(self, index: int, over: bool, planned: bool) -> None: ...


class Grumble:
    """Log the complaints about a helper, a bounded number of lines a second, and keep the tail of its stderr."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._second = 0
        self._count = 0
        self._partial = b""
        self.tail = b""

    def problem(self, text: str) -> None:
        second = int(time.monotonic())
        if second != self._second:
            if self._count > LINES_A_SECOND:
                self._log.warning("%d more lines like these are left out", self._count - LINES_A_SECOND)
            self._second = second
            self._count = 0
        self._count += 1
        if self._count <= LINES_A_SECOND:
            self._log.warning("%s", text)

    def stderr(self, data: bytes) -> None:
        self.tail = (self.tail + data)[-TAIL:]
        *lines, rest = (self._partial + data).split(b"\n")
        self._partial = rest[:LINE_SHOWN]
        for line in lines:
            if line.strip():
                self.problem("stderr: " + line[:LINE_SHOWN].decode("utf-8", "replace"))

    def last_words(self) -> str:
        """Return the tail of stderr in one line, and clear it for the next helper."""
        if self._partial.strip():
            self.stderr(b"\n")
        lines = [line.strip() for line in self.tail.decode("utf-8", "replace").splitlines()]
        self.tail = self._partial = b""
        return " / ".join(line for line in lines if line)


class HelperRunner:
    """One helper. Its process is replaced whenever it ends, until its Life is over."""

    def __init__(self, loop: Loop, settings: Filter, index: int, numbers: Iterator[int], log: logging.Logger, owner: Owner) -> None:
        self.life = Life(settings, time.monotonic())
        self.last_error: str | None = None
        self.last_error_at = 0.0
        """When it happened, in seconds since 1970."""
        self.startable = True
        """False: there is no such program, or it ended because its command line is wrong. True again when a process is ready or ends
        in another way."""
        self._loop = loop
        self._settings = settings
        self._index = index
        self._numbers = numbers
        self._log = log
        self._owner = owner
        self._grumble = Grumble(log)
        self._helper: Helper | None = None
        self._reason = ""
        self._intf = self._quit = -1  # the numbers of these requests; -1: not sent yet
        self._timer = loop.after(0, self._tick)

    @property
    def pid(self) -> int | None:
        return self._helper.pid if self._helper else None

    @property
    def was_ready(self) -> bool:
        """Return whether this is not the first start of a helper."""
        return self.life.starts > 1 or self.last_error is not None or self.life.phase in (Phase.READY, Phase.STOPPING)

    @property
    def fell(self) -> bool:
        """Return whether the helper was started but does not run, perhaps because of the helper that runs beside it."""
        return self.life.starts > 0 and self.startable and self.life.phase in (Phase.PAUSED, Phase.OVER)

    def send(self, number: int, message: int, asked: bool) -> None:
        if self._helper is not None:
            line = protocol.ASKED_FILE if asked else protocol.QUEUE_FILE
            self._helper.send(line % (number, message), number)

    def take_back(self, number: int) -> bool:
        return self._helper is not None and self._helper.take_back(number)

    def restart(self, reason: str) -> None:
        """Replace the helper, because it let a request wait too long."""
        self._reason = reason
        self._log.warning("%s; the helper is restarted", reason)
        self._stop(HASTY, final=False)

    def stop(self) -> None:
        """Stop the helper for good. helper_gone(over=True) follows, at once if no helper runs."""
        over = self.life.phase is Phase.PAUSED
        self._stop(GENTLE, final=True)
        if over:
            self._owner.helper_gone(self._index, True, True)

    def _stop(self, steps: tuple[tuple[LifeStep, float], ...], final: bool) -> None:
        running = self.life.phase in (Phase.STARTING, Phase.READY)
        self.life.stop(time.monotonic(), steps, final)
        if running:
            self._owner.helper_leaving(self._index)
        self._arm()

    # Time

    def _arm(self) -> None:
        self._timer.cancel()
        if self.life.due < math.inf:
            self._timer = self._loop.at(self.life.due, self._tick)

    def _tick(self) -> None:
        step = self.life.tick(time.monotonic())
        if step is LifeStep.START:
            self._start()
        elif step is LifeStep.ASSUME:
            self._grumble.problem(f"the helper did not answer INTF: version {ASSUMED} is assumed")
            self._owner.helper_ready(self._index)
        elif step is not None and self._helper is not None:
            self._stop_step(step, self._helper)
        self._arm()

    def _start(self) -> None:
        try:
            self._helper = Helper(self._loop, self._settings.words(), self._settings.pipelining, self, HelperLimits.of(self._settings))
        except Exception as error:  # noqa: BLE001  (any error of a start is the fault of that filter alone)
            if not isinstance(error, (OSError, ValueError)):
                self._log.critical("the start of the helper failed: this is a fault in Enqueuer, please report it", exc_info=True)
            self.startable = False
            self._lost(f"cannot be started: {fault(error)}")
            return
        self._reason = ""
        self._log.log(MAJOR, "started, process %d", self._helper.pid)
        self.life.started(time.monotonic())
        self._intf = next(self._numbers)
        self._helper.send(protocol.intf(self._intf))

    def _stop_step(self, step: LifeStep, helper: Helper) -> None:
        if step is LifeStep.QUIT:
            helper.forget_unsent()
            self._quit = next(self._numbers)
            helper.send(protocol.quit(self._quit))
        elif step is LifeStep.CLOSE:
            helper.close_input()
        elif step is LifeStep.ABANDON:
            self._abandon(helper)
        else:
            self._log.warning("SIG%s is sent to process %d", step.name, helper.pid)
            helper.signal(signal.SIGTERM if step is LifeStep.TERM else signal.SIGKILL)

    def _abandon(self, helper: Helper) -> None:
        """Go on without a helper that the kernel holds. It is reaped if it ends later."""
        name = self._settings.name
        pid = helper.pid
        stuck = f"process {pid} does not end by SIGKILL, because the kernel holds it (a disk or server does not answer)"
        if not (self.life.final or unkillable.has_room(name)):
            helper.signal(signal.SIGKILL)
            error = f"{stuck}, like {unkillable.MOST} before it: no more are started until one of them has ended"
            self._failed(error)
            self._grumble.problem(error)
        elif helper.give_up(lambda: self._reaped(pid)):
            unkillable.add(name, pid)
            self._lost(f"{stuck}: it is given up")

    def _reaped(self, pid: int) -> None:
        unkillable.remove(self._settings.name, pid)
        self._log.warning("process %d, which was given up, has ended", pid)

    def _failed(self, error: str) -> None:
        self.last_error = error
        self.last_error_at = time.time()

    def _lost(self, reason: str, planned: bool = False, *, problem: bool = True) -> None:
        self._helper = None
        self.life.ended(time.monotonic(), planned)
        if problem:
            self._failed(reason)
        over = self.life.phase is Phase.OVER
        pause = max(0.0, self.life.due - time.monotonic())
        self._log.log(logging.WARNING if problem else MAJOR, "%s%s", reason, "" if over else f"; started again in {pause:.1f} s")
        self._owner.helper_gone(self._index, over, planned)
        self._arm()

    # Events of the helper

    def events(self, events: list[Event]) -> None:
        if self._log.isEnabledFor(logging.INFO):
            for event in events:
                if event.line:
                    self._log.info("inp(%d): %s", len(event.line), event.line.decode("utf-8", "replace"))
        replies: list[HelperReply] = []
        amiss: list[tuple[HelperReply, int]] = []
        for event in events:
            if isinstance(event, HelperReply):
                replies.append(event)
                if event.complaints or event.answer.kind is AnswerKind.FAILURE:
                    amiss.append((event, self._owner.helper_asked(self._index, event.number)))
            elif isinstance(event, Interface):
                self._greeted(event)
            elif isinstance(event, ServerReport) and self.life.phase in (Phase.STARTING, Phase.READY):
                self._owner.helper_server(self._index, event.trouble)  # it may come before the helper is ready
            elif event.complaint:
                self._grumble.problem(event.complaint)
        if replies:
            self._replies(replies, amiss)

    def _replies(self, replies: list[HelperReply], amiss: list[tuple[HelperReply, int]]) -> None:
        """Pass replies on. `amiss`: replies with a problem, which are logged, each with the id of its message."""
        unknown = self._owner.helper_replies(self._index, replies)
        if len(unknown) < len(replies):
            self.life.proven = True
        for reply, message in amiss:
            if not any(reply is each for each in unknown):
                self._complain(reply, message)
        for reply in unknown:
            self._unasked(reply)

    def _complain(self, reply: HelperReply, message: int) -> None:
        failed = (f"answered FAILURE: {reply.answer.text}",) if reply.answer.kind is AnswerKind.FAILURE else ()
        for problem in failed + reply.complaints:
            self._grumble.problem(f"message {message}: {problem}")

    def _unasked(self, reply: HelperReply) -> None:
        """Handle an answer that belongs to no open request."""
        if reply.number == self._quit:
            self.life.quit_answered(time.monotonic())
            self._arm()
        elif reply.number == self._intf:
            self._grumble.problem(f"the helper did not answer INTF as the protocol says, version {ASSUMED} is assumed: {reply.line!r:.200}")
            self._greeted(Interface(self._intf, ASSUMED))
        else:
            self._grumble.problem(f"answer to a request that is not outstanding (late, double or wrong): number {reply.number}")

    def _greeted(self, interface: Interface) -> None:
        if interface.number != self._intf:
            self._grumble.problem(f"an INTF answer with number {interface.number}, which Enqueuer did not send")
        elif self.life.greeted():
            self.startable = True
            self._arm()
            self._log.log(MAJOR, "ready, speaks version %d", min(interface.version, protocol.VERSION))
            self._owner.helper_ready(self._index)

    def errors(self, data: bytes) -> None:
        self._grumble.stderr(data)

    def written(self, lines: list[Line]) -> None:
        if self._log.isEnabledFor(logging.INFO):
            for line, _ in lines:
                self._log.info("out(%d): %s", len(line) - 1, line[:-1].decode())
        self._owner.helper_written(self._index, [number for _, number in lines if number])

    def leaving(self) -> None:
        self._owner.helper_leaving(self._index)

    def deaf(self, how: str) -> None:
        if self.life.phase in (Phase.STARTING, Phase.READY):
            self.restart(f"the helper {how}, but does not end")

    def ended(self, status: int) -> None:
        # Some helpers leave after a number of messages. Requests that are on their way at that time are not a fault.
        self.startable = not (status in MISTAKEN and self.life.phase is Phase.STARTING)
        planned = self.life.phase is not Phase.STOPPING and status == 0 and self.life.proven
        words = self._grumble.last_words()
        how = f"ended by signal {-status} ({signal.strsignal(-status)})" if status < 0 else f"ended with exit status {status}"
        self._lost(
            (f"{self._reason}; " if self._reason else "") + how + (f": {words}" if words else ""),
            planned,
            problem=not (planned or (status == 0 and self.life.final)),
        )
