"""`enqueuer init, run, status, reload, stop`: the engine as a whole."""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from enqueuer import exits
from enqueuer.cli._common import Base, CommandFailure, Json, answer, ask, enter, fail, help, printable

if TYPE_CHECKING:
    from enqueuer.control.client import Peer

__all__ = ["add_to"]


def add_to(app: typer.Typer) -> None:
    app.command("init", **help("Make a base directory.", "enqueuer init /var/spool/enqueuer", text=INIT))(_init)
    app.command("run", **help("Run the engine in the foreground.", "enqueuer run --base /var/spool/enqueuer", text=RUN))(_run)
    app.command("status", **help("Show what the running engine does.", "enqueuer status", "enqueuer status --json | jq .queue"))(_status)
    app.command("reload", **help("Make the running engine read its config file now.", "enqueuer reload", text=RELOAD))(_reload)
    app.command("stop", **help("Stop the running engine.", "enqueuer stop", "enqueuer stop --now", text=STOP))(_stop)


INIT = """DIR may be missing, empty or a base directory. Files that are there already stay unchanged, the config file too.

--group lets the members of a group drop mail into Submitted/. They cannot list the folder. The account of the engine must be a member."""
RUN = """SIGTERM drains: the engine finishes the messages that it is scanning, and leaves all others in the queue. A second SIGTERM
ends it at once. SIGHUP reloads the config file.

The log is written to SystemLogs. On a terminal it is also shown."""
RELOAD = """A running engine also reads a changed config file by itself. This command waits for the result.

Exit codes: 0 the new configuration is active. 78 it was refused, and the old one stays active; the reason is printed. 75 it was accepted,
but a helper with the new settings is not ready yet; until it is, the old helper scans."""
STOP = """The engine first finishes the messages that it is scanning, for at most drain_timeout. With --now it leaves them in the queue.
The command returns when the engine has ended."""


RELOAD_WITHIN = 30.0
"""Seconds. The engine answers when all its parts have the new configuration, for which it gives them less time."""
STOP_WITHIN = 86400.0
"""Seconds: the longest drain_timeout. The command waits for the engine's end, not for the clock."""


def _init(
    dir: Annotated[Path, typer.Argument(metavar="DIR", help="The folder to make.")],
    group: Annotated[str | None, typer.Option("--group", metavar="GROUP", help="Let the members of this group drop mail.")] = None,
) -> int:
    from enqueuer import basedir

    try:
        made = basedir.init(dir, group)
    except basedir.BaseDirError as error:
        fail(str(error), exits.CANTCREAT)
    print(f"{printable(str(dir))}: {'ready' if made else 'was ready already'}; start it with `enqueuer run --base {printable(str(dir))}`")
    return exits.OK


def _run(
    base: Base = None,
    allow_writable_config: Annotated[
        bool, typer.Option("--allow-writable-config", help="Start even if other accounts may write the config file, its folder or DIR.")
    ] = False,
) -> int:
    path = enter(base)
    from enqueuer.supervisor import supervisor

    return supervisor.run(path, allow_writable_config=allow_writable_config)


def _status(
    base: Base = None,
    json: Json = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show also how long each step takes.")] = False,
) -> int:
    from enqueuer.cli._stops import stops
    from enqueuer.queue.directory import inventory

    document = ask(enter(base), command="status")
    document["backlog"] = inventory.backlog(time.time())
    document["stops"] = stops(document)
    if json:
        answer(document)
    else:
        from enqueuer.cli import _show

        _show.status(document)
        if verbose:
            _show.steps(document)
    return exits.OK


def _reload(base: Base = None) -> int:
    said = ask(enter(base), within=RELOAD_WITHIN, command="reload")
    if not said.get("ok"):
        raise CommandFailure(str(said.get("error") or "refused"), exits.TEMPFAIL if said.get("pending") else exits.CONFIG)
    print("the new configuration is active")
    for each in said.get("unavailable", ()):
        print(f"warning: {each}", file=sys.stderr)
    return exits.OK


def _stop(
    base: Base = None,
    now: Annotated[bool, typer.Option("--now", help="Do not finish the messages that are being scanned: leave them in the queue.")] = False,
) -> int:
    from enqueuer.control import client

    path = enter(base)
    try:
        peer = client.Peer(path, Path())
    except client.NotRunning as error:
        fail(str(error), exits.UNAVAILABLE)
    print("stopping", file=sys.stderr)
    _order(path, peer, now)
    peer.ends_within(STOP_WITHIN)
    return exits.OK


def _order(base: Path, peer: "Peer", now: bool) -> None:
    """Order the engine to stop; it answers when it has stopped. An engine that ends without an answer has also stopped."""
    try:
        ask(base, within=STOP_WITHIN, command="stop", now=now)
    except CommandFailure:
        if not peer.ends_within(1.0):
            raise
