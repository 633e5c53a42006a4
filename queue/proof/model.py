"""The model: one message, the store's own code, and everything that may happen between two of its disk calls.

    the engine goes on              one call of the queue manager or of the processor
    a verdict                       any; a second scan may have another one
    a consumer                      takes an output out of Outbound
    a writer                        goes on writing to the drop, under whichever name it has
    a kill                          of the processor (then Reaped), of the queue manager (warm recovery), of the engine (cold)
    a power cut                     the disk as simdisk.py leaves it, then a cold recovery
    a failed sync                   and all that was written may be lost, even if a later sync succeeds
    a door                          receives the message instead of a drop; it may die or outlive the engine (doors.py)

explore() visits every world that these events can lead to, within bounds on how often each happens. It reports the wrong ends: a
message must get exactly one disposition, its outputs whole and once each, and nothing may stay behind. Two losses are allowed. If
a power cut goes back to a moment before a consumer took an output, that copy is not counted. What a writer wrote between the last
look at its drop and the unlink may be missing.
"""

import collections
import errno
from collections.abc import Iterator
from typing import Any, NamedTuple

from enqueuer.queue.proof import doors
from enqueuer.queue.proof.scenario import DROPPED, ENDS, HOLD, MAIL, MORE, NEW, ModelEntry, Scenario, disposition, rights
from enqueuer.queue.proof.simdisk import SimulatedDisk
from enqueuer.queue.proof.stepper import Call, FailedCall, Position, perform
from enqueuer.queue.proof.world import DECIDED, World, commits, looked, put

__all__ = ["ModelReport", "explore"]


class ModelReport(NamedTuple):
    worlds: int
    wrong: dict[str, tuple[str, ...]]
    """The wrong ends, each with the shortest way to it."""
    cut_short: bool
    """There are more worlds than `most`."""


def explore(scenario: Scenario, start: World, most: int = 3_000_000, until: str = "") -> ModelReport:
    """Visit every world, at most `most` of them, so that a wrong scenario ends; or stop when the end `until` is found."""
    moves = _Moves(scenario)
    wrong = dict[str, World]()
    came: dict[World, tuple[World, str] | None] = {start: None}
    todo = collections.deque([start])
    while todo and len(came) < most and not (until and until in wrong):
        world = todo.popleft()
        complaint = None
        alive = False
        for label, following in moves.of(world):
            alive = alive or label.startswith("engine")
            if following not in came:
                came[following] = (world, label)
                todo.append(following)
        if not alive and (complaint := moves.wrong(world)):
            wrong.setdefault(complaint, world)
    return ModelReport(len(came), {complaint: _way(came, world) for complaint, world in wrong.items()}, bool(todo))


def _way(came: dict[World, tuple[World, str] | None], world: World) -> tuple[str, ...]:
    labels = []
    while (before := came[world]) is not None:
        world, label = before
        labels.append(label)
    return tuple(reversed(labels))


class _Moves:
    """Leads from one world to those that may follow."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self._begun: dict[tuple[Any, ...], Position] = {}
        self._rights = [rights(MAIL + MORE * count) for count in range(3)]

    def of(self, world: World) -> Iterator[tuple[str, World]]:
        """Return every world that may follow. Steps of the engine have a label with "engine": a world without one is an end."""
        yield from self._goes_on(world)
        yield from self._begins(world)
        yield from self._taken(world)
        yield from self._written(world)
        if world.bounds.fails and not world.manager and not world.recovers:
            yield "another's sync fails", self._sync_failed(world)
        if world.bounds.kills:
            yield from self._killed(world._replace(bounds=world.bounds._replace(kills=world.bounds.kills - 1)))
        if world.bounds.cuts:
            bounds = world.bounds._replace(cuts=world.bounds.cuts - 1)
            after = World(world.disk, bounds, ids=world.ids, written=world.written, least=world.least, client=world.client)
            yield from (("power cut", doors.cut(after._replace(disk=disk))) for disk in world.disk.cuts())

    def wrong(self, world: World) -> str | None:
        """Return what is wrong with an end."""
        files = world.disk.read()
        left = [path for path in files if not path.startswith((*ENDS, DECIDED))]
        if left or world.entry:
            return f"stays behind: {', '.join(sorted(left)) or world.entry}"
        decided = [path.partition(".")[2] for path in files if path.startswith(DECIDED)]
        allowed = self._rights[world.least : world.written + 1]
        if (complaint := doors.complaint(world, not decided and not disposition(files))) is not None:
            return complaint or None
        end = disposition(files)
        whole = {output for right in allowed for outputs in right.values() for output in outputs}
        cut = {output for right in self._rights[: world.least] for outputs in right.values() for output in outputs}
        outputs = [output[0] if output in whole else f"{output[0]} ({'cut' if output in cut else 'broken'})" for output in end]
        final = " and ".join(sorted(each for each in decided if each != HOLD))
        right = any(end == each.get(final, ()) for each in allowed) and final in self._rights[0]
        return None if right else f"{' and '.join(decided) or 'undecided'}, but leaves {', '.join(outputs) or 'nothing'}"

    # ---- the engine

    def _begins(self, world: World) -> Iterator[tuple[str, World]]:
        """Return what an idle queue manager may do."""
        entry = world.entry
        if entry and entry.state == "waiting" and not world.recovers:
            n = world.n + 1
            entry = entry._replace(state="active", n=n)
            for verdict in self._scenario.verdicts(entry.id, world.bounds.waits):
                judged = entry._replace(verdict=verdict)
                position = self._position("process", judged)
                yield f"engine: dispatch {n} ({verdict})", self._runs(world._replace(entry=judged, n=n), "processor", position)
        for label, begun, role, begin in doors.begins(world):
            yield label, self._runs(begun, role, self._position(*begin))
        if world.client == "accepted":
            yield "engine: the door answers 2xx", world._replace(client="answered")
        if not world.manager and (action := self._next(world)):
            yield f"engine: {action[0]}", self._runs(world, "manager", self._position(*action))

    def _next(self, world: World) -> tuple[Any, ...] | None:
        entry = world.entry
        match entry and entry.state:
            case _ if world.recovers:
                return "recover", world.recovers == "cold"
            case None if DROPPED in world.disk.names():
                return "claim", world.ids + 1
            case None if on_hold := [name for name in world.disk.names() if name.startswith("Hold/") and name.endswith(".msg")]:
                return "release", int(on_hold[0][5:-4])
            case "decided":
                return "settle", entry
            case "reaped":
                return "put_off", entry and entry.id
            case "refused":
                return "refuse", entry
            case _:
                return None

    def _goes_on(self, world: World) -> Iterator[tuple[str, World]]:
        """Make one call of each process."""
        for role in ("manager", "processor", "ghost", "door"):
            position: Position | None = getattr(world, role)
            if position and (call := position.call):
                what = f"{call.name} {' -> '.join(arg for arg in call.args if isinstance(arg, str))}".strip()
                if call.name == "sync":
                    yield from self._synced(world, role, position)
                    continue
                simdisk = SimulatedDisk(world.disk)
                after = position.after(perform(simdisk, call))
                if world.entry and commits(call):
                    simdisk.note(f"{DECIDED}{world.n}.{world.entry.verdict}")
                yield f"engine: {role}: {what}", self._runs(world._replace(disk=simdisk.state), role, after)

    def _synced(self, world: World, role: str, position: Position) -> Iterator[tuple[str, World]]:
        """Sync, in the queue manager or a door. A success does not cover what was written before a failure: that counts as failed, too."""
        simdisk = SimulatedDisk(world.disk)
        result = perform(simdisk, Call("sync", ()))
        late = self._scenario.remembers and position.action[0] in ("settle", "hold") and position.action[1].n <= world.distrusted
        after = position.after(FailedCall(errno.EIO) if late or (role == "door" and world.door_late) else result)
        yield f"engine: {role}: sync", self._runs(world._replace(disk=simdisk.state), role, after)
        if world.bounds.fails:
            failed = self._sync_failed(world)
            yield "the sync fails", self._runs(failed, role, position.after(FailedCall(errno.EIO)))
            if position.action[0] in ("settle", "hold"):
                yield "the sync before it fails", failed

    def _sync_failed(self, world: World) -> World:
        """Fail a sync of any process: the files that this message's processor wrote until now may be lost as well."""
        simdisk = SimulatedDisk(world.disk)
        entry = world.entry
        perform(simdisk, Call("fail_sync", ()))
        bounds = world.bounds._replace(fails=world.bounds.fails - 1)
        world = world._replace(disk=simdisk.state, bounds=bounds, door_late=world.door is not None)
        if not self._scenario.remembers:
            return world
        if entry and entry.drop:
            world = world._replace(entry=entry._replace(ingested=False))
        return world._replace(distrusted=world.n, distrusts=True)

    def _runs(self, world: World, role: str, position: Position) -> World:
        """Take a process to a position. Calls that only read are made at once if no other process can be in between."""
        alone = sum(map(bool, (world.manager, world.processor, world.ghost, world.door))) - bool(getattr(world, role)) == 0
        while alone and position.call and position.call.reads:
            position = position.after(perform(SimulatedDisk(world.disk), position.call))
        if position.call:
            return put(world, role, position)
        world = put(world, role, None)
        if role == "ghost":
            return world
        ended: World = getattr(self, f"_{position.action[0]}_ended")(world, position)
        return ended

    def _position(self, name: str, *args: Any) -> Position:
        """Return the beginning of a piece of work of the scenario."""
        action = (name, *args)
        if action not in self._begun:
            method = getattr(self._scenario, name)
            self._begun[action] = Position(action, lambda disk: method(disk, *args))
        return self._begun[action]

    def _recover_ended(self, world: World, position: Position) -> World:
        if position.value is None:
            return world  # the disk refused: the next queue manager repeats it
        entry = next(iter(position.value), None)
        if entry and entry.drop and world.distrusts:
            entry = entry._replace(ingested=False)
        return world._replace(recovers="", entry=entry)

    def _claim_ended(self, world: World, position: Position) -> World:
        drop, taken = position.value
        return world._replace(entry=ModelEntry(world.ids + 1, drop, ingested=False, taken=taken), ids=world.ids + 1)

    def _process_ended(self, world: World, position: Position) -> World:
        assert world.entry
        trusted = world.entry.n > world.distrusted
        entry = world.entry._replace(ingested=trusted or not world.entry.drop)
        bounds = world.bounds
        match position.value:
            case "deferred" | "parked":
                world = world._replace(entry=entry._replace(state="waiting"), bounds=bounds._replace(waits=bounds.waits - 1))
                holds = position.value == "deferred" and entry.drop and trusted and not world.manager
                return self._runs(world, "manager", self._position("hold", entry)) if holds else world
            case "refused":
                return world._replace(entry=entry._replace(state="refused"))
            case "trouble":  # the disks here are never full
                return world._replace(entry=entry._replace(state="stuck"))
            case tuple(places) if trusted:
                bounds = bounds._replace(waits=bounds.waits - (entry.verdict == HOLD))
                world = world._replace(bounds=bounds)
                return world._replace(entry=entry._replace(state="decided", places=places))
            case _:
                return world._replace(entry=entry._replace(state="reaped"))

    def _hold_ended(self, world: World, position: Position) -> World:
        entry = world.entry
        return world._replace(entry=entry._replace(drop=None)) if position.value and entry else world

    def _settle_ended(self, world: World, position: Position) -> World:
        assert world.entry
        if not position.value:
            return world._replace(entry=world.entry._replace(state="reaped"))
        new = world.entry.id + NEW
        born = ModelEntry(new, None, ingested=True) if f"queue-{new}" in world.entry.places else None
        return world._replace(entry=born)

    def _release_ended(self, world: World, position: Position) -> World:
        return world._replace(entry=ModelEntry(position.action[1], None, ingested=True) if position.value else None)

    def _refuse_ended(self, world: World, position: Position) -> World:
        assert world.entry
        return world._replace(entry=None if position.value else world.entry._replace(state="stuck"))

    def _put_off_ended(self, world: World, position: Position) -> World:
        assert world.entry
        entry = world.entry
        ingested = position.value and (entry.ingested or not self._scenario.knows_what_it_wrote)
        return world._replace(entry=entry._replace(state="waiting", ingested=ingested, places=()))

    def _receive_ended(self, world: World, position: Position) -> World:
        return doors.receive_ended(world, position)

    def _accept_ended(self, world: World, position: Position) -> World:
        return doors.accept_ended(world, position)

    def _remove_dead_ended(self, world: World, _: Position) -> World:
        return world

    # ---- other parties

    def _taken(self, world: World) -> Iterator[tuple[str, World]]:
        files = world.disk.names()
        number = sum(path.startswith("Taken/") for path in files)
        for path in files:
            if path.startswith("Outbound/"):
                simdisk = SimulatedDisk(world.disk)
                simdisk.take(path, f"Taken/{number}.{path.split('/')[1]}")
                yield f"{path} is taken", world._replace(disk=simdisk.state)

    def _written(self, world: World) -> Iterator[tuple[str, World]]:
        """Have the writer go on. What it writes after the engine's last look at the drop may be missing."""
        drop = next((path for path in world.disk.names() if path.startswith("Submitted/")), None)
        if not world.bounds.writes or drop is None:
            return
        simdisk = SimulatedDisk(world.disk)
        written = world.written + 1
        simdisk.append(drop, MORE)
        bounds = world.bounds._replace(writes=world.bounds.writes - 1)
        least = world.least if looked(world) else written
        yield "the writer goes on", world._replace(disk=simdisk.state, bounds=bounds, written=written, least=least)

    def _killed(self, world: World) -> Iterator[tuple[str, World]]:
        if world.processor and world.entry:
            freed = world._replace(processor=None, entry=world.entry._replace(state="reaped"))
            yield "the processor is killed", freed
            if not self._scenario.waits_for_reaped:
                yield "the processor is taken for dead", freed._replace(ghost=world.processor)
        yield from doors.killed(world)
        if world.manager or world.entry or world.door or world.client in ("asks", "accepted"):
            gone = world._replace(manager=None, processor=None, ghost=None, entry=None, distrusted=0)
            yield "the queue manager is killed", gone._replace(recovers=world.recovers or "warm")
            if world.client == "accepted":
                yield "the queue manager is killed, and its answer lost", gone._replace(recovers=world.recovers or "warm", client="asks")
            gone = gone._replace(recovers="cold", n=0, distrusts=False)
            yield "the engine is killed", doors.cut(gone)
            if world.client:
                yield "the engine is killed, and the door lives on", gone
