"""One instant of the model: the disk, the next call of each process, and how often each event may still happen."""

from collections.abc import Iterable
from typing import Literal, NamedTuple

from enqueuer.queue.proof.scenario import DROPPED, MAIL, ModelEntry
from enqueuer.queue.proof.simdisk import SimulatedDisk, State
from enqueuer.queue.proof.stepper import Call, Position

__all__ = ["DECIDED", "FaultBounds", "World", "begin", "commits", "looked", "put"]

DECIDED = "Decided/"
"""Notes that come with a commit, and go if a power cut undoes it: the end that must follow."""


class FaultBounds(NamedTuple):
    """How often each event may still happen."""

    kills: int = 1
    cuts: int = 1
    waits: int = 1
    """Dispatches that end with the message deferred or parked."""
    fails: int = 0
    writes: int = 0


class World(NamedTuple):
    disk: State
    bounds: FaultBounds
    recovers: Literal["cold", "warm", ""] = "cold"
    """The recovery that must come before anything else."""
    entry: ModelEntry | None = None
    manager: Position | None = None
    processor: Position | None = None
    ghost: Position | None = None
    """A processor that counts as dead but still runs."""
    n: int = 0
    """The last dispatch number given. The board has it, so that a new queue manager continues there."""
    ids: int = 0
    distrusted: int = 0
    """The last dispatch when a sync failed: files written up to it may be lost. In the queue manager's memory."""
    distrusts: bool = False
    """A sync has failed in this engine's life. On the board."""
    written: int = 0
    """How often the writer went on, and how much of that the outputs must have."""
    least: int = 0
    door: Position | None = None
    """A door that receives (doors.py)."""
    client: str = ""
    """What its client knows; "": there is no door."""
    door_late: bool = False
    """A sync failed while the door received: its own sync fails, too, because it has had the filesystem open since before."""


def begin(bounds: FaultBounds, files: Iterable[tuple[str, bytes]] = ()) -> World:
    """Return the first world: a dropped message, and other files on the disk, all of them durable."""
    simdisk = SimulatedDisk()
    for path, data in ((DROPPED, MAIL), *files):
        simdisk.create(path, (data,))
    simdisk.sync()
    return World(simdisk.state, bounds)


def commits(call: Call) -> bool:
    """Return whether a call decides a message: its message file becomes .done, or is moved to its place."""
    return call.name == "rename" and call.args[0].startswith("Queue/") and bool(call.args[0].endswith(".msg"))


def looked(world: World) -> bool:
    """Return whether the queue manager has seen that the drop is unchanged, so that it or the next one unlinks it next."""
    if any(path.endswith(".done") for path in world.disk.names()):
        return True
    call = world.manager.call if world.manager else None
    return call is not None and (commits(call) or (call.name == "unlink" and call.args[0].startswith("Submitted/")))


def put(world: World, role: str, position: Position | None) -> World:
    match role:
        case "manager":
            return world._replace(manager=position)
        case "processor":
            return world._replace(processor=position)
        case "door":
            return world._replace(door=position)
        case _:
            return world._replace(ghost=position)
