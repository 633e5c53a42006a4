"""The order of a message's end, written down once: the engine takes these steps, and the model explores them.

    sync_staged      the message file and its staged outputs survive a power cut
    compare          the drop is still the one that was taken; if not, nothing is committed and the caller gives the drop back
    commit           <id>.msg becomes <id>.<n>.done: the outcome is decided, and from here on it is only carried out
    sync_committed   the decision survives a power cut ("each" only)
    publish          the drop is unlinked, the staged outputs are renamed to their places
    sync_published   the outputs survive a power cut at their places ("each" only)
    left             the caller counts the message and logs its end
    forget           <id>.<n>.done is unlinked: the message has left the queue

Two ways are shorter. A message file that is itself the output is moved: the drop goes, then one rename is commit, publication and
end. A message that is deferred for the first time only loses its drop, after sync_staged and compare.

A sync serves a whole batch; the steps between two syncs are taken message by message. In groups all of them follow one sync, so
at most one `.done` exists. Every step may be repeated after an error.
"""

from collections.abc import Collection, Sequence
from typing import Generic, TypeVar

from enqueuer.queue.directory.ref import taken_of
from enqueuer.queue.directory.store import Store
from enqueuer.queue.directory.sync import Change
from enqueuer.queue.port import Decision, Progress, SyncPhase, Witness

__all__ = ["DirectorySettlement"]

D = TypeVar("D", bound=Decision)


class DirectorySettlement(Generic[D]):
    """Takes decisions to their end. The model has to find wrong orders; these are subclasses."""

    def __init__(self, store: Store, witness: Witness[D]) -> None:
        self.store = store
        self.witness = witness

    @property
    def phases(self) -> list[SyncPhase[D]]:
        if not self.store.sync.in_steps:
            return [SyncPhase(self.sync_staged, Progress.GONE)]
        return [
            SyncPhase(self.sync_staged, Progress.COMMITTED),
            SyncPhase(self.sync_committed, Progress.PUBLISHED),
            SyncPhase(self.sync_published, Progress.GONE),
        ]

    def step(self, decision: D) -> None:
        """Take the next step of one message. Raises OSError; then the same step comes next again."""
        if decision.places is None:
            self._release(decision)
            return
        match decision.done:
            case Progress.STAGED if self.compare(decision):
                self.witness.changed(decision)
                decision.done = Progress.GONE
            case Progress.STAGED if decision.moved:
                self._move(decision)
            case Progress.STAGED:
                self.witness.deciding(decision)
                self.commit(decision)
                decision.done = Progress.COMMITTED
            case Progress.COMMITTED:
                self.publish(decision)
                decision.done = Progress.PUBLISHED
            case Progress.PUBLISHED:
                self.witness.left(decision)
                decision.done = Progress.COUNTED
            case _:
                self.forget(decision)
                self.witness.gone(decision)
                decision.done = Progress.GONE

    def sync_staged(self, batch: Sequence[D], others: Collection[str]) -> None:
        self.store.sync.staged(_changes(batch, Progress.STAGED), others)

    def compare(self, decision: D) -> bool:
        """Return whether the drop differs from the one that was taken."""
        taken = taken_of(decision.ref)
        return taken is not None and self.store.changed(*taken)

    def commit(self, decision: D) -> None:
        self.store.commit(decision.id, decision.n)

    def sync_committed(self, _batch: Sequence[D], _others: Collection[str]) -> None:
        self.store.sync.committed()

    def publish(self, decision: D) -> None:
        taken = taken_of(decision.ref)
        self.store.finish(decision.id, decision.n, taken and taken.drop, decision.places or ())

    def sync_published(self, batch: Sequence[D], _others: Collection[str]) -> None:
        self.store.sync.published(_changes(batch, Progress.PUBLISHED))

    def forget(self, decision: D) -> None:
        self.store.forget(decision.id, decision.n)

    def move(self, decision: D, place: str) -> None:
        """Unlink the drop, then rename the message file. The other way round, a drop would remain of a message that is out."""
        self.release_drop(decision)
        self.store.move(decision.id, place)

    def release_drop(self, decision: D) -> None:
        if taken := taken_of(decision.ref):
            self.store.release_drop(taken.drop)
            decision.ref = b""
            self.witness.released(decision)

    def _move(self, decision: D) -> None:
        """Take all steps at once. After an error in the middle they are repeated with the message file, which is all that is left."""
        assert decision.places is not None
        (place,) = decision.places
        self.witness.deciding(decision)
        self.move(decision, place)
        self.witness.left(decision)
        decision.done = Progress.GONE
        self.witness.gone(decision)

    def _release(self, decision: D) -> None:
        if self.compare(decision):
            self.witness.changed(decision)
        else:
            self.release_drop(decision)
        decision.done = Progress.GONE


def _changes(batch: Sequence[D], done: Progress) -> list[Change]:
    return [Change(each.id, each.n, each.places) for each in batch if each.done is done]
