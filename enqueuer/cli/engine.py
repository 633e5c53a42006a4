"""`enqueuer init, run, status, reload, stop`: the engine as a whole."""

import sys
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
    app.command("status", **help("Show what the engine does.", "enqueuer status", "enqueuer status --json | jq .queue"))(_status)
    app.command("reload", **help("Have the engine take its config file.", "enqueuer reload", text=RELOAD))(_reload)
    app.command("stop", **help("End the engine.", "enqueuer stop", "enqueuer stop --now", text=STOP))(_stop)


INIT = """DIR may be missing or empty. What is there of a base directory already stays as it is, its config file too.

--group opens Submitted/ to a group: its members drop mail, and cannot list the folder. The engine's account must be in the group."""
RUN = """SIGTERM drains: messages in work are finished, the rest stays in the queue. A second one ends at once. SIGHUP reloads.

The log goes into SystemLogs, and is shown besides where this is a terminal."""
RELOAD = (
    "Exit code 0: the new configuration is in force. 78: it was refused and the old one stays; the reason is printed. "
    "75: it was taken, but a helper with the new settings is not ready yet, and the old one judges meanwhile."
)
STOP = "Messages in work are finished first (drain_timeout); --now leaves them in the queue. Returns when the engine has ended."


RELOAD_WITHIN = 30.0
"""Seconds; the engine answers when all its parts have the new configuration, for which it gives them less."""
STOP_WITHIN = 86400.0
"""Seconds: as long as anybody's drain_timeout. The engine's end is what is waited for, not the clock."""


def _init(
    dir: Annotated[Path, typer.Argument(metavar="DIR")],
    group: Annotated[str | None, typer.Option("--group", metavar="GROUP", help="Accounts of this group may drop mail.")] = None,
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
        bool, typer.Option("--allow-writable-config", help="Start though other accounts may write the config file, its folder or DIR.")
    ] = False,
) -> int:
    path = enter(base)
    from enqueuer.supervisor import supervisor

    return supervisor.run(path, allow_writable_config=allow_writable_config)


def _status(
    base: Base = None,
    json: Json = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Also where the time goes, step by step.")] = False,
) -> int:
    document = ask(enter(base), command="status")
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
    print("the new configuration is in force")
    return exits.OK


def _stop(base: Base = None, now: Annotated[bool, typer.Option("--now", help="Do not wait for messages in work.")] = False) -> int:
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
    """Tell the engine to stop; it answers when it has. An engine that ends without an answer has ended, too."""
    try:
        ask(base, within=STOP_WITHIN, command="stop", now=now)
    except CommandFailure:
        if not peer.ends_within(1.0):
            raise
