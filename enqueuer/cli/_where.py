"""Ask the running engine what a message waits for, for `queue show`, and put the answer into sentences."""

from pathlib import Path
from typing import Any

from enqueuer.control import client
from filterlink.config.units import show_seconds, show_short

__all__ = ["MOST_STATES", "ask", "sentences", "states"]

MOST_STATES = 200
"""Messages whose states are asked for at once: a request has at most 4096 bytes."""
ELSEWHERE = {
    "on_hold": "on hold; to let it go on: enqueuer queue release {id}",
    "quarantine": "in quarantine; to let it go on: enqueuer quarantine release {id}; to delete it: enqueuer quarantine delete {id}",
    "bad": "given up; to scan it again: enqueuer queue retry {id}; to delete it: enqueuer bad delete {id}",
}


def ask(base: Path, id: int) -> dict[str, Any]:
    """Return the engine's `now` of a message. If no engine answers, `state` is None and `engine` has the reason; that raises nothing."""
    try:
        answer = client.ask(base, {"command": "where", "id": id}, here=Path())
    except client.NotRunning as problem:
        return {"engine": str(problem), "state": None}
    except OSError as problem:
        return {"engine": f"the engine cannot be asked: {problem.strerror}", "state": None}
    if not answer["ok"]:
        return {"engine": str(answer.get("text", answer.get("error"))), "state": None}
    return {"engine": answer["engine"], **answer["now"]}


def states(base: Path, ids: list[int]) -> list[str]:
    """Return the state of each message in the running engine; "" = the engine does not have it. Raises NotRunning, OSError."""
    answer = client.ask(base, {"command": "states", "ids": ids}, here=Path())
    return [str(each) for each in answer["states"]] if answer["ok"] else [""] * len(ids)


def sentences(now: dict[str, Any], filed: str, id: int) -> list[str]:
    """Say in words where message `id` is. `filed`: the state that its files show."""
    if now["state"] is None:
        return _by_its_files(now, filed, id)
    said = [_what(now)]
    if now["filter"]:
        said.append(_filter(now["filter"]))
    if now["offered_in_s"] is not None:
        out = now["filter"] is not None and now["filter"]["state"] in ("failed", "stalled", "restarting")
        when = "when the filter answers again, at the latest in" if out else "in"
        said.append(f"it is tried again {when} {show_seconds(now['offered_in_s'])}; at once with: enqueuer queue retry {id}")
    if now["attempts"]:
        said.append(f"{now['attempts']} attempts have failed")
    if now["engine"] == "draining":
        said.append("the engine drains: it starts no message")
    return [*said, *now["log"]]


def _by_its_files(now: dict[str, Any], filed: str, id: int) -> list[str]:
    """Return the sentences if no engine answers, or if the engine does not have the message."""
    if filed in ELSEWHERE:
        return [ELSEWHERE[filed].format(id=id)]
    if now["engine"] in ("starting", "running", "draining"):
        return ["the running engine does not have this message: it has just left the queue, or another program put its file here"]
    meant = {"waiting": "it was taken and not started", "active": "it was being scanned"}.get(filed, "it was deferred, or released")
    return [f"what it waits for is not known: {now['engine']}", f"its files say: {meant}"]


def _what(now: dict[str, Any]) -> str:
    """Return the state, what the message waits for, and since when."""
    since = show_seconds(now["since_s"])
    name = now["filter"]["name"] if now["filter"] else None
    if now["state"] == "active":
        what = {"filter": f"filter {name} scans it", "reading": "reads it", "rules": "applies the rules", "writing": "writes the result"}
        return (
            f"processor {now['processor']}: {what.get(now['doing'], 'has it')}, for {since}"
            if now["processor"]
            else "it goes to a processor"
        )
    if now["state"] == "waiting":
        alone = "; it is then scanned alone, because it was being scanned when the engine ended" if now["alone"] else ""
        return f"waits for a processor, for {since}; {now['older']} older {now['lane']} messages wait before it{alone}"
    if now["state"] == "settling":
        return "decided: the result is being synced to the disk"
    reason = f": {now['reason']}" if now["reason"] else ""
    where = f"parked for filter {name}" if now["state"] == "parked" else f"deferred by filter {name}" if name else "put off"
    return f"{where} for {since}{reason}"


def _filter(filter: dict[str, Any]) -> str:
    """Return the state of a filter, and how long its answers usually take."""
    if filter["state"] is None:
        return f"filter {filter['name']} is no longer configured"
    error = f", last error: {filter['last_error']}" if filter["last_error"] and filter["state"] != "ready" else ""
    times = "has not answered yet"
    if filter["median_s"] is not None:
        times = f"usually answers within {show_short(filter['median_s'])}, 99 of 100 times within {show_short(filter['p99_s'])}"
    return f"filter {filter['name']} ({filter['state']}{error}) {times}"
