"""The processors as the queue manager knows them: connected, idle, about to leave, or dead."""

import msgspec

from enqueuer.ipc import frames
from enqueuer.manager.schedule import Entry
from filterlink.wire.link import Link

__all__ = ["ProcessorLink", "Workers"]


class ProcessorLink(msgspec.Struct):
    """One processor."""

    link: Link
    hello: frames.Hello
    entry: Entry | None = None
    """The message that it works on."""


class Workers:
    """All processors, by generation: a number that no two processors of an engine share."""

    def __init__(self, first: int) -> None:
        """`first`: processors of a lower generation died before this queue manager started."""
        self._first = first
        self._all: dict[int, ProcessorLink] = {}
        self._idle: dict[int, ProcessorLink] = {}  # the idle ones, in the order in which they became idle
        self._reaped: set[int] = set()  # few, because a queue manager runs for a limited time
        self._leaving: set[int] = set()

    def come(self, link: Link, hello: frames.Hello) -> ProcessorLink | None:
        """Add a processor that has connected. None, and its link is closed: it died before its Hello was read."""
        if hello.generation < self._first or hello.generation in self._reaped:
            link.close()
            return None
        self._all[hello.generation] = worker = ProcessorLink(link, hello)
        self.rest(worker)
        return worker

    @property
    def idle(self) -> list[ProcessorLink]:
        """Return the processors that can take a message, the longest idle one first."""
        return [worker for worker in self._idle.values() if not worker.link.closed]

    @property
    def busy(self) -> bool:
        return any(worker.entry for worker in self._all.values())

    def begin(self, worker: ProcessorLink, entry: Entry) -> None:
        """Note that a processor works on this message from now on."""
        worker.entry = entry
        del self._idle[worker.hello.generation]

    def rest(self, worker: ProcessorLink) -> None:
        """Note that a processor has finished. One that is about to leave does so now."""
        worker.entry = None
        generation = worker.hello.generation
        if generation in self._reaped:
            return
        if generation in self._leaving:
            self._idle.pop(generation, None)
            worker.link.send(frames.encode(frames.Leave(generation)))
        else:
            self._idle[generation] = worker

    def leave(self, generation: int) -> None:
        """Have a processor leave as soon as it is idle."""
        self._leaving.add(generation)
        if (worker := self._all.get(generation)) is not None and worker.entry is None:
            self.rest(worker)

    def bury(self, generation: int) -> Entry | None:
        """Remove a reaped processor: read its last answers, and return the message that it left unfinished."""
        self._reaped.add(generation)
        worker = self._all.get(generation)
        if worker is None:
            return None
        worker.link.read_to_end()
        worker.link.close()
        del self._all[generation]
        self._idle.pop(generation, None)
        return worker.entry
