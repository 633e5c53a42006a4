"""The processors as the queue manager sees them: who is there, who is idle, who is to leave, and who is dead."""

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
    """What it works on."""


class Workers:
    """All of them, by generation: a number that no two processors of an engine share."""

    def __init__(self, first: int) -> None:
        """`first`: what is older died before we were."""
        self._first = first
        self._all: dict[int, ProcessorLink] = {}
        self._idle: dict[int, ProcessorLink] = {}  # of these, in the order in which they became so
        self._reaped: set[int] = set()  # few, as a queue manager does not live for ever
        self._leaving: set[int] = set()

    def come(self, link: Link, hello: frames.Hello) -> ProcessorLink | None:
        """One has called; None, and its link closed, when it died before that was heard."""
        if hello.generation < self._first or hello.generation in self._reaped:
            link.close()
            return None
        self._all[hello.generation] = worker = ProcessorLink(link, hello)
        self.rest(worker)
        return worker

    @property
    def idle(self) -> list[ProcessorLink]:
        """Who can take a message, the one first that is idle for longest."""
        return [worker for worker in self._idle.values() if not worker.link.closed]

    @property
    def busy(self) -> bool:
        return any(worker.entry for worker in self._all.values())

    def begin(self, worker: ProcessorLink, entry: Entry) -> None:
        """It works on this from now on."""
        worker.entry = entry
        del self._idle[worker.hello.generation]

    def rest(self, worker: ProcessorLink) -> None:
        """It is done. One that is to leave does so now."""
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
        """It is to leave as soon as it is idle."""
        self._leaving.add(generation)
        if (worker := self._all.get(generation)) is not None and worker.entry is None:
            self.rest(worker)

    def bury(self, generation: int) -> Entry | None:
        """It has been reaped: take its last answers, and return what it has left undone."""
        self._reaped.add(generation)
        worker = self._all.get(generation)
        if worker is None:
            return None
        worker.link.read_to_end()
        worker.link.close()
        del self._all[generation]
        self._idle.pop(generation, None)
        return worker.entry
