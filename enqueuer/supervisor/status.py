"""Build the status document, which `enqueuer status --json` prints, from the scoreboard and from what the supervisor knows."""

import time
from collections.abc import Sequence
from typing import Any

import msgspec

from enqueuer.config.schema import EngineSettings
from enqueuer.ipc import timings
from enqueuer.ipc.doortallies import DoorTally, summed
from enqueuer.ipc.scoreboard import Scoreboard
from enqueuer.policy.lanes import large_limit
from enqueuer.queue.message.timestamps import rfc3339
from enqueuer.supervisor.children import Child
from enqueuer.supervisor.configfile import ConfigFile
from enqueuer.system.version import our_version
from filterlink.wire.frames import FilterState

__all__ = ["document", "steps"]


def document(
    state: str, base: str, pid: int, born: float, file: ConfigFile, board: Scoreboard, processors: Sequence[Child], why: str = ""
) -> dict[str, Any]:
    """Return the document. `born`: time.monotonic() of the engine's start. `why`: the last change of the number of processors by `auto`."""
    now = time.monotonic()
    gauges = board.gauges()
    settings = file.config.enqueuer
    intake = board.intake()
    return {
        "version": our_version(),
        "state": state,
        "base": base,
        "pid": pid,
        "uptime_s": round(now - born, 3),
        "processors": _processors(board, processors, now) | {"auto": _auto(settings, why)},
        "spool": {"waiting": gauges["spool"], "stuck": msgspec.to_builtins(intake.stuck)},
        "intake": {"paused": intake.paused},
        "queue": {name: gauges[name] for name in ("waiting", "active", "settling", "parked", "deferred")}
        | {
            "on_hold": gauges["on_hold"],
            "oldest_waiting_s": _age(gauges["oldest"], now),
            "oldest_deferred_s": _age(gauges["oldest_deferred"], now),
        },
        "lanes": {
            "small": {"waiting": gauges["small_waiting"], "active": gauges["small_active"]},
            "large": {
                "waiting": gauges["large_waiting"],
                "active": gauges["large_active"],
                "limit": large_limit(settings.lanes.large_share, board.processors),
            },
        },
        "filters": _filters(file, board),
        "doors": _doors(file, board, now),
        "config": {"file": file.path, "loaded_at": file.loaded_at, "error": file.error, "waiting": file.waiting},
        "totals": board.totals(),
        "unaccounted": gauges["unaccounted"],
    }


def steps(board: Scoreboard, slots: int) -> list[dict[str, Any]]:
    """Return the time per step since the engine's start, of the queue manager and the processors (at most `slots` at once)."""
    sums: dict[str, tuple[float, float]] = dict.fromkeys(timings.PROCESSOR, (0.0, 0.0))
    for slot in range(slots):
        for step, (wall, cpu) in timings.read(board.processor_timings(slot), timings.PROCESSOR).items():
            sums[step] = (sums[step][0] + wall, sums[step][1] + cpu)
    both = {"queue manager": timings.read(board.manager_timings, timings.MANAGER), "processors": sums}
    return [
        {"process": process, "step": step, "wall_s": round(wall, 6), "cpu_s": round(cpu, 6)}
        for process, times in both.items()
        for step, (wall, cpu) in times.items()
    ]


def _filters(file: ConfigFile, board: Scoreboard) -> Any:
    """Return every filter of the file, in its order. A filter without a report yet counts as starting."""
    heard = {state.name: state for state in board.filters()}
    quiet = (FilterState(each.name, "starting" if each.enabled else "disabled") for each in file.config.filters)
    states = [heard.get(state.name, state) for state in quiet]
    return [
        msgspec.to_builtins(each) | {name: _time(getattr(each, name)) for name in ("unavailable_since", "last_error_at")} for each in states
    ]


def _doors(file: ConfigFile, board: Scoreboard, now: float) -> list[dict[str, Any]]:
    """Return every door of the file, in its order. Its counts are those since the engine's start, and outside the totals."""
    found = summed([page.read() for page in board.doors])
    doors = []
    for door in file.config.doors:
        tally = msgspec.structs.asdict(found.get(door.name) or DoorTally(door.name))
        oldest = tally.pop("oldest")
        entry = {"name": door.name, "kind": door.kind, "listen": str(door.listen)}
        doors.append(entry | tally | {"oldest_s": round(now - oldest, 3) if oldest else None})
    return doors


def _time(second: float | None) -> str | None:
    return None if second is None else rfc3339(second)


def _age(since: int, now: float) -> float | None:
    """Return the seconds since a time of a gauge (time.monotonic_ns()); 0 = never."""
    return round(now - since / 1e9, 3) if since else None


def _auto(settings: EngineSettings, why: str) -> dict[str, Any] | None:
    """Return the bounds within which the number of processors follows the load; None: the number is fixed."""
    return {"min": settings.auto_min, "max": settings.auto_max, "last_change": why or None} if settings.processors == "auto" else None


def _processors(board: Scoreboard, processors: Sequence[Child], now: float) -> dict[str, Any]:
    tasks = []
    for child in sorted(processors, key=lambda each: each.birth.number):
        task = board.task(child.birth.slot)
        tasks.append(
            {
                "id": child.birth.number,
                "pid": child.pid,
                "state": task.state,
                "since_s": round(max(0.0, now - task.since), 3),
                "message": str(task.message) if task.message else None,
                "filter": task.filter or None,
            }
        )
    ready = [child for child in processors if not child.leaving and child.link is not None]
    return {
        "configured": board.processors,
        "running": len(ready),
        "leaving": sum(child.leaving for child in processors),
        "busy": sum(task["state"] != "idle" for task in tasks),
        "tasks": tasks,
    }
