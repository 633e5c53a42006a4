"""`enqueuer queue`: the messages that wait, are being scanned, or are on hold. Listings read the disk and need no engine."""

from datetime import datetime
from typing import Annotated

import typer

from enqueuer import exits
from enqueuer.cli._common import Base, Json, enter, fail, help, order
from enqueuer.cli._meant import Id, drop_id, is_drop, message_id
from enqueuer.cli._shelf import list_folder, show_drop, show_queued
from enqueuer.cli._when import then

__all__ = ["add_to"]

MAX_REASON = 500
RETRY = """A message in Bad/ goes back to the queue, and its attempts are set to 0. A deferred message is tried again at once. --all
retries all deferred messages and all in Bad/. --filter NAME retries only the messages that this filter deferred or sent to Bad/. Needs
a running engine."""

TEXT = """States: waiting = taken from Submitted, waits for a processor; active = being scanned; settling = decided, its result is
being synced; parked = waits for a free slot of a filter; deferred = a filter could not scan it, and it is tried again later; on_hold =
stopped by a rule or by `queue hold`. The command asks a running engine for the states. Without one, the files show waiting, active,
deferred or on_hold."""

SHOW = """A running engine says what the message waits for, since when, and how long that usually takes. Without an engine the command shows
what the files say. For a message that has left the queue it says how and when it ended. It always prints the lines of the log.
Exit code 66: no folder has the message, and no line of the log is about it."""

SHOWN = ("enqueuer queue show 1764000000000000", "enqueuer queue show 1764000000000000000-4711-1.sub")


HOLD = """Stops a message that waits, is parked or is deferred. If a processor has the message, the engine stops it when the processor is
done. If the message has ended by then, the command says how. Without --for and --until the message stays until `queue release`. Needs a
running engine.

Exit codes: 0 the message is on hold, or will be, 66 it is not in the queue, has ended, or is on hold already."""

RELEASE = """A message that a rule put on hold goes on after that action: the rest of that rule, then the next rules. For a message that
`queue hold` stopped, all rules are tried again. Needs a running engine.

Exit codes: 0 the message goes on, 66 it is not on hold."""

HELD = ("enqueuer queue hold 1764000000000000 --for 2h", 'enqueuer queue hold 1764000000000000 --until 18:00 --reason "ask Ann"')


def add_to(app: typer.Typer) -> None:
    group = typer.Typer(help="List, show, retry, hold or release messages in the queue.", no_args_is_help=True, rich_markup_mode=None)
    group.command(
        "list", **help("List the messages in the queue, oldest first.", "enqueuer queue list", "enqueuer queue list --json", text=TEXT)
    )(_list)
    group.command("show", **help("Show where a message is, and what it waits for.", *SHOWN, text=SHOW))(_show)
    group.command(
        "retry",
        **help(
            "Scan a message again, from Bad/ or the queue.",
            "enqueuer queue retry 1764000000000000",
            "enqueuer queue retry --all",
            "enqueuer queue retry --filter VirusScan",
            text=RETRY,
        ),
    )(_retry)
    group.command("hold", **help("Put a message on hold.", *HELD, text=HOLD))(_hold)
    group.command("release", **help("Let a message on hold go on.", "enqueuer queue release 1764000000000000", text=RELEASE))(_release)
    app.add_typer(group, name="queue")


def _retry(
    id: Annotated[int | None, typer.Argument(metavar="ID", parser=message_id, help="The id in the lists and in the log.")] = None,
    all: Annotated[bool, typer.Option("--all", help="Retry all deferred messages, and all in Bad/.")] = False,
    filter: Annotated[str, typer.Option("--filter", metavar="NAME", help="Retry the messages of this filter.")] = "",
    base: Base = None,
    json: Json = False,
) -> int:
    if (id is not None) + all + bool(filter) != 1:
        fail("name one message: enqueuer queue retry ID; or several: --all, or --filter NAME", exits.USAGE)
    order(base, "retry", id or 0, json, filter=filter)
    return exits.OK


def _hold(
    id: Id,
    duration: Annotated[str, typer.Option("--for", metavar="DURATION", help="How long, as 2h or 3d.")] = "",
    until: Annotated[str, typer.Option("--until", metavar="TIME", help="Until when: 18:00, 2026-11-28, or 2026-11-28 18:00.")] = "",
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="A reason for the lists and the log.")] = "",
    base: Base = None,
    json: Json = False,
) -> int:
    if duration and until:
        fail("--for and --until exclude each other", exits.USAGE)
    if len(reason) > MAX_REASON:
        fail(f"--reason: at most {MAX_REASON} characters", exits.USAGE)
    now = datetime.now()
    at = then(duration, now, "--for") if duration else then(until, now, "--until") if until else 0.0
    order(base, "hold", id, json, until=at, reason=reason)
    return exits.OK


def _release(id: Id, base: Base = None, json: Json = False) -> int:
    order(base, "release-hold", id, json)
    return exits.OK


def _list(base: Base = None, json: Json = False) -> int:
    list_folder("Queue", base, json)
    return exits.OK


def _show(
    message: Annotated[str, typer.Argument(metavar="ID", help="The id, or the name of the drop that `submit` printed.")],
    base: Base = None,
    json: Json = False,
) -> int:
    enter(base)
    found = drop_id(message) if is_drop(message) else message_id(message)
    if isinstance(found, str):
        show_drop(message, found, json)
    else:
        show_queued(found, json)
    return exits.OK
