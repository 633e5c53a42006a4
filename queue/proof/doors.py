"""A door in the model: a process that receives one message, asks the queue manager to accept it, and answers its client.

    begins -> receives -> asks -> accepted -> answered      the client has a 2xx answer
                  failed                                    a sync failed: 4xx
                          refused                           the file is not whole, or does not exist: 4xx
    dead                                                    the door died, and the client has no answer
    gone                                                    it died before the rename: the client sends the message again

A message with a 2xx answer gets one disposition. A message without an answer gets one disposition, or nothing of it is left. If
the client is `gone`, nothing is left. A living door is refused only if its message has left already.
"""

import errno
from collections.abc import Iterator
from typing import Any

from enqueuer.queue.directory import incoming, names
from enqueuer.queue.directory.disk import DiskPort
from enqueuer.queue.message import envelope as envelopes
from enqueuer.queue.proof.scenario import MAIL, ModelEntry, Scenario
from enqueuer.queue.proof.simdisk import SimulatedDisk
from enqueuer.queue.proof.stepper import Position
from enqueuer.queue.proof.world import FaultBounds, World

__all__ = ["DOOR", "ENVELOPE", "DoorDriver", "accept_ended", "begin_at_door", "begins", "complaint", "cut", "killed", "receive_ended"]

DOOR = "smtp-1"
ID = 1
LOCK = "Incoming/" + names.door_lock(DOOR)
ENVELOPE = envelopes.make(b"a@a.example", (b"b@b.example", b"c@c.example"), "24-11-2026 10:00:00", "h")
"""The envelope that ingest.ingest() makes of MAIL: the outputs of both ways in are the same bytes."""
OPEN = ("begins", "receives", "asks", "accepted")
"""The states in which the client waits for an answer."""
BUFFER = 200
"""Bytes: MAIL takes several writes, so that its O line is written last."""


class DoorDriver(Scenario):
    """The work of a door, and of the queue manager for it."""

    def receive(self, disk: DiskPort, id: int) -> str:
        """Do the door's work until it asks the queue manager."""
        try:
            writer = self.write(disk, id)
            writer.finish(self.store(disk).sync)
        except OSError as error:
            return _refusal(error)
        return "asks"

    def write(self, disk: DiskPort, id: int) -> incoming.Writer:
        writer = incoming.begin(disk, DOOR, id, ENVELOPE, BUFFER)
        writer.write(MAIL[:300])
        writer.write(MAIL[300:])
        return writer

    def accept(self, disk: DiskPort, id: int) -> str:
        """Accept the message. "taken": it is offered now. "there": it was offered before."""
        try:
            return "taken" if incoming.accept(disk, self.store(disk).sync, DOOR, id) else "there"
        except ValueError:
            return "refused"
        except OSError as error:
            return _refusal(error)

    def remove_dead(self, disk: DiskPort) -> None:
        incoming.remove_dead(disk)


def _refusal(error: OSError) -> str:
    return "failed" if error.errno == errno.EIO else "refused"


def begin_at_door(bounds: FaultBounds) -> World:
    """Return a world with a living door whose client has a message."""
    simdisk = SimulatedDisk()
    simdisk.hold(LOCK)
    return World(simdisk.state, bounds, ids=ID, client="begins")


def begins(world: World) -> Iterator[tuple[str, World, str, tuple[Any, ...]]]:
    """Return what door and queue manager may begin: label, world, role, action."""
    if world.client == "begins":
        yield "engine: the door receives", world._replace(client="receives"), "door", ("receive", ID)
    if world.manager or world.recovers:
        return
    if world.client == "asks":
        yield "engine: accept", world, "manager", ("accept", ID)
    if world.client in ("dead", "gone") and _received(world):
        yield "engine: remove_dead", world, "manager", ("remove_dead",)


def receive_ended(world: World, position: Position) -> World:
    return world._replace(client=position.value)


def accept_ended(world: World, position: Position) -> World:
    """Return the world after accept. The door may have died meanwhile."""
    if position.value == "taken":
        world = world._replace(entry=ModelEntry(ID, None, ingested=True))
    if world.client != "asks":
        return world
    return world._replace(client="accepted" if position.value in ("taken", "there") else position.value)


def killed(world: World) -> Iterator[tuple[str, World]]:
    """Kill the door alone. (Whether it dies with the engine or outlives it: model.py.)"""
    if world.client in OPEN:
        yield "the door is killed", cut(world)


def cut(world: World) -> World:
    """Return the same world after the door's end."""
    if not world.client:
        return world
    simdisk = SimulatedDisk(world.disk)
    client = world.client
    simdisk.hold(LOCK, alive=False)
    if client in OPEN:
        accepting = world.manager is not None and world.manager.action[0] == "accept"
        client = "gone" if _received(world) and not accepting else "dead"
    return world._replace(disk=simdisk.state, door=None, client=client)


def _received(world: World) -> bool:
    """Return whether Incoming/ has a file."""
    return any(path.startswith("Incoming/") for path in world.disk.names())


def complaint(world: World, nothing: bool) -> str | None:
    """Return what is wrong with an end for the client; "" = nothing. None: the message's end decides. `nothing`: nothing of it is left."""
    if world.client == "gone":
        return "" if nothing else "taken from a dead door, and its client sends it again"
    if not world.client or world.client == "answered" or not nothing:
        return None
    return "a living door is refused" if world.client == "refused" else ""
