"""The queue manager: the one process that owns the spool and the order of messages. It claims, dispatches, commits and publishes.

It never reads a message and never waits for another process: processors do the work, and the committer's thread does the syncs.

What ends it: Exit or garbage from the supervisor; the end of its link to the supervisor; an event that the state of a message
does not allow (IllegalEvent); an error of the committer's thread other than OSError; a recovery that the disk refuses; any other
exception (exit code 70, a traceback in the log). The supervisor starts another one, which takes over the files as they are
(takeover.py).

What it only logs: a failed sync (the messages of that batch are scanned again); a commit or publication that the disk refuses (it
is repeated until it succeeds); a drop that cannot be claimed or refused; a full disk or a full queue; the end of a processor;
a filter that does not answer for a message; totals that differ from the messages on disk.
"""

import functools
import logging
import socket
import time

from enqueuer.ipc import frames
from enqueuer.ipc.child import SUPERVISOR, Birth
from enqueuer.ipc.scoreboard import HEARTBEAT, IntakeState
from enqueuer.ipc.timings import MANAGER, StageTimings
from enqueuer.log import serverlog
from enqueuer.log.facts import closing
from enqueuer.manager import where
from enqueuer.manager.births import Births
from enqueuer.manager.blame import Blame
from enqueuer.manager.filterpeer import FilterPeer
from enqueuer.manager.pauses import Machine
from enqueuer.manager.reconciliation import Reconciliation
from enqueuer.manager.returns import Returns
from enqueuer.manager.schedule import Entry, Schedule
from enqueuer.manager.setbacks import TROUBLE_PAUSE, Setbacks
from enqueuer.manager.settler import Settler
from enqueuer.manager.spooler import Spooler, tell_received
from enqueuer.manager.takeover import take_over
from enqueuer.manager.workers import ProcessorLink, Workers
from enqueuer.queue.directory.disk import Disk
from enqueuer.queue.directory.intake import Intake
from enqueuer.queue.directory.messagestore import DirectoryStore
from enqueuer.queue.port import MessageStore
from filterlink.wire.link import Link
from filterlink.wire.loop import Loop

__all__ = ["Manager", "run"]

log = logging.getLogger("QUEUE")

_WITH_A_FILE = frames.Ingested | frames.Outcome | frames.Deferred | frames.Parked
_OF_NO_JOB = frames.Hello | frames.SpoolChanged | frames.Wake | frames.Guilty | frames.Renewed


def run(birth: Birth) -> None:
    """Run the queue manager's process."""
    Manager(birth).run()


class Manager:
    def __init__(self, birth: Birth) -> None:
        self._birth = birth
        self._board = birth.board
        self._loop = Loop()
        spool = birth.config.spool
        self._intake = Intake(Disk(), spool.suffixes, spool.max_size)
        self._store: MessageStore = DirectoryStore.open(spool.durability, self._intake, quiet=self._board.recovered)
        self._schedule = Schedule(self._birth.lanes)
        self._machine = Machine(log)
        self._setbacks = Setbacks(self._store, self._schedule, self._machine, self._board)
        self._settler = Settler(self._loop, self._store, self._board, self._schedule, self._setbacks.put_off)
        self._timings = StageTimings(self._board.manager_timings, MANAGER)
        self._workers = Workers(birth.generation)
        self._draining = birth.draining
        self._ended = False
        self._told_idle = False
        self._shown: IntakeState | None = None
        self._blame = Blame(self._store, self._board, self._schedule, self._settler.add, self._setbacks.refuse, self._setbacks.put_off)
        self._blame.configure(birth.config.enqueuer)
        self._filterlink = FilterPeer(self._schedule, self._blame)
        self._blame.given_up = self._filterlink.left
        self._settler.ended = self._blame.attempts.forget
        self._settler.give_back = self._setbacks.give_back
        self._setbacks.forgotten = self._forget
        self._returns = Returns(self._loop, self._store, self._settler, self._schedule, self._board, self._blame, birth.config)
        self._births = Births(self._schedule, self._board, self._returns.holds, self._filterlink.pause, birth.config)
        self._settler.enter = self._births.enter
        self._spooler = self._setbacks.spooler = self._recover()
        self._audit = Reconciliation(self._loop, self._store, self._schedule, self._board)
        self._supervisor = Link(
            self._loop, birth.call(SUPERVISOR), frames.decode_from_supervisor, self._order, lambda _: self._end(), vital=True
        )
        assert birth.listener is not None
        birth.listener.serve(self._loop, self._accepted)
        self._supervisor.send(frames.encode(frames.InForce(birth.revision)))

    def run(self) -> None:
        pause = 0.0
        while not self._ended:
            self._loop.turn(pause)
            pause = min(self._pump(), self._birth.log.due)
        self._settler.close()

    def _pump(self) -> float:
        """Do the work that follows each turn of the loop; return the seconds until there is more."""
        now = time.monotonic()
        due = self._schedule.release_due(now)
        pause = min(HEARTBEAT, due - now if due is not None else HEARTBEAT)
        self._dispatch()  # first, so that an idle processor does not wait for work that can be done while it is busy
        if not self._draining:
            self._timings.turn("intake")
            pause = min(pause, self._spooler.pump(), self._machine.pause(now) or HEARTBEAT)
            self._timings.next("")
            self._dispatch()
        self._filterlink.press(self._schedule.counts["waiting"] > 0 and not self._draining)
        self._settler.pump()
        self._setbacks.wipe()
        self._show()
        if self._draining and not self._told_idle and not self._busy():
            self._told_idle = True
            self._supervisor.send(frames.encode(frames.Idle()))
        return max(0.0, pause)

    # ---- start

    def _recover(self) -> Spooler:
        """Take over the files on disk, then begin to list the drop folder."""
        highest = take_over(self._store, self._birth, self._schedule, self._blame, self._returns.holds)
        self._births.ids = ids = self._store.ids(highest, self._settler.after_sync)
        return Spooler(self._loop, self._store, self._intake, ids, self._schedule, self._birth.config, lambda: self._board.add("refused"))

    # ---- links

    def _accepted(self, sock: socket.socket) -> None:
        Link(self._loop, sock, frames.decode_to_manager, self._first, _nothing)  # the loop keeps a reference to it

    def _first(self, link: Link, hello: frames.ToManager) -> None:
        if not isinstance(hello, frames.Hello) or not self._board.is_ours(link.caller):
            link.close()
        elif hello.role == "processor":
            if (worker := self._workers.come(link, hello)) is not None:
                link.handle(lambda _, frame: self._told(worker, frame), _nothing)
        elif hello.role == "filterlink":
            self._filterlink.called(link)
        else:
            link.handle(lambda _, _look: self._spooler.look(), _nothing)
            self._spooler.watched()

    def _order(self, _link: Link, frame: frames.FromSupervisor) -> None:
        match frame:
            case frames.ConfigRevision(revision):
                self._birth.take(revision)
                self._configure()
                self._supervisor.send(frames.encode(frames.InForce(revision)))
            case frames.Reaped(generation, waiting):
                self._bury(generation, waiting)
            case frames.Leave(generation):
                self._workers.leave(generation)
            case frames.Order(token, verb, id, filter, until, reason):
                self._returns.carry_out(verb, id, functools.partial(self._answer, token), filter, until, reason)
            case frames.StatesQuery(token, ids):
                known = (self._schedule.entries.get(id) for id in ids)
                self._supervisor.send(frames.encode(frames.StatesAnswer(token, tuple(entry.state if entry else "" for entry in known))))
            case frames.Seek():
                found = where.seen(frame, self._schedule, self._blame.attempts.of(frame.id), time.monotonic())
                self._supervisor.send(frames.encode(found))
            case frames.Resized():
                self._schedule.lanes = self._birth.lanes
            case frames.Drain():
                self._draining = True
            case frames.Exit():
                self._end()

    def _answer(self, token: int, done: bool, text: str) -> None:
        self._supervisor.send(frames.encode(frames.CommandAnswer(token, done, text)))

    def _configure(self) -> None:
        """Activate another revision: all parked messages are dispatched again, under the new rules."""
        config = self._birth.config
        self._schedule.lanes = self._birth.lanes
        self._blame.configure(config.enqueuer)
        self._spooler.configure(config)
        self._schedule.wake_all()
        self._returns.configure(config)
        self._births.configure(config)

    def _end(self) -> None:
        self._ended = True

    # ---- dispatch

    def _dispatch(self) -> None:
        """Give the oldest message whose lane has room to an idle processor, until no such pair is left."""
        if self._draining or self._machine.pause(time.monotonic()):
            return
        self._timings.turn("dispatch")
        for worker in self._workers.idle:
            entry = self._schedule.next()
            while entry is not None and not self._blame.admit(entry):
                entry = self._schedule.next()
            if entry is None:
                break
            self._send_job(worker, entry)
        self._timings.next("")

    def _send_job(self, worker: ProcessorLink, entry: Entry) -> None:
        entry.n = self._board.next_dispatch()
        self._workers.begin(worker, entry)
        about = entry.large, entry.ref, entry.ingested, not entry.counted, entry.stamp, entry.verdicts
        loops = self._blame.begin(entry)
        moves = self._store.moves
        asked = entry.hold, self._blame.attempts.of(entry.id), entry.hold_until
        job = frames.Job(entry.id, entry.n, self._birth.revision, *about, loops, moves, entry.own, *asked)
        worker.link.send(frames.encode(job))

    def _told(self, worker: ProcessorLink, frame: frames.ToManager) -> None:
        """Handle what a processor answers for its message. An answer for another dispatch is stale and is ignored."""
        if isinstance(frame, frames.Judged):
            self._told(worker, frame.ingested)
            frame = frame.answer
        entry = worker.entry
        if entry is None or isinstance(frame, _OF_NO_JOB) or (frame.id, frame.n) != (entry.id, entry.n):
            return
        if isinstance(frame, _WITH_A_FILE):
            self._count(entry, frame.stamp)
        if isinstance(frame, frames.Ingested):
            tell_received(entry.id, self._store.name(entry.ref), frame.sender, frame.size, frame.dropper)
            return
        if isinstance(frame, frames.IdsWanted):
            worker.link.send(frames.encode(frames.IdsGiven(self._births.new_ids(frame.count))))
            return
        self._workers.rest(worker)
        entry.deaths = 0
        self._blame.cleared(entry)
        match frame:
            case frames.Outcome():
                self._blame.decided(entry, frame)
                self._schedule.settle(entry)
                self._settler.add(entry, frame)
            case frames.Parked():
                entry.verdicts = frame.verdicts
                if entry.hold and entry.doom is None:
                    self._schedule.wait(entry)
                elif not self._blame.doomed(entry):
                    self._schedule.park(entry, frame.filter, apart=frame.apart, now=time.monotonic(), reason=frame.reason)
            case frames.Deferred():
                self._defer(entry, frame)
            case frames.DropRefused():
                self._setbacks.refuse(entry, frame.reason)
            case frames.Trouble():
                self._machine.trouble(frame.kind, frame.reason, entry.id, everybody=frame.machine)
                self._setbacks.put_off(entry, TROUBLE_PAUSE, frame.reason)
        self._dispatch()  # before the loop handles the other events of this turn

    def _count(self, entry: Entry, stamp: tuple[int, int]) -> None:
        entry.ingested = self._settler.trusts(entry)
        entry.stamp = stamp
        if not entry.counted:
            entry.counted = True
            self._board.add("received")

    def _defer(self, entry: Entry, frame: frames.Deferred) -> None:
        self._blame.decided(entry, frame)
        entry.verdicts = frame.verdicts
        entry.own = entry.own or bool(frame.judged_by)
        if not entry.was_held:
            entry.was_held = True
            serverlog.tell(log, entry.id, closing(f"deferred: {frame.reason}", frame.facts, frame.stamp[0], time.time()))
        pause: float = self._birth.config.enqueuer.retry_after
        if frame.charge and frame.refused:
            filter = next((each for each in self._birth.config.filters if each.name == frame.filter), None)
            pause = self._blame.refused(entry, frame, filter.on_refused if filter else "defer", pause)
        elif frame.charge and self._blame.overdue(entry, frame.filter):
            return
        if self._schedule.entries.get(entry.id) is not entry or entry.state != "active":
            return  # the message was given up, refused or given back
        if not entry.durable:
            self._settler.add(entry, None)
        if entry.hold:
            self._schedule.wait(entry)
            return
        now = time.monotonic()
        self._schedule.defer(entry, frame.filter, now + self._filterlink.pause(frame.filter, now, pause), now=now, reason=frame.reason)

    def _forget(self, id: int) -> None:
        """Forget a message whose drop is back in the drop folder: it is no longer a message."""
        self._blame.attempts.forget(id)
        self._filterlink.left(id)

    # ---- processors that end

    def _bury(self, generation: int, waiting: bool) -> None:
        """Handle the end of a processor that the supervisor has reaped: only now its message is free, and its staged files may be removed.

        `waiting`: the processor died while it waited for a filter, so its message is not to blame.
        """
        if (entry := self._workers.bury(generation)) is not None and (pause := self._blame.killed(entry, waiting=waiting)) is not None:
            self._setbacks.put_off(entry, pause)

    # ---- shown to others

    def _busy(self) -> bool:
        return self._settler.busy or self._workers.busy or self._schedule.counts["settling"] > 0

    def _show(self) -> None:
        """Flush the log and set the gauges at the end of each turn. Under load the log gets several lines together. Until then, the board
        keeps them for the next queue manager.
        """
        if self._birth.log.flush_due(at_once=self._schedule.counts["settling"] == 0):
            self._board.told()
        more = self._audit.unaccounted, int(self._schedule.deferred_since() * 1e9), len(self._schedule.on_hold)
        self._board.set_gauges((self._spooler.unclaimed, *self._schedule.gauges(), *more))
        now = time.monotonic()
        intake = IntakeState(self._spooler.paused(now) or self._machine.reason(now), self._spooler.stuck)
        if intake != self._shown:
            self._shown = intake
            self._board.publish_intake(intake)


def _nothing(_link: Link) -> None:
    """Ignore the end of a link: only Reaped frees a message."""
