"""`enqueuer queue`: the messages that wait or are being judged. Listings read the disk and need no engine."""

from typing import Annotated

import typer

from enqueuer import exits
from enqueuer.cli._common import Base, Json, enter, fail, help, order
from enqueuer.cli._meant import drop_id, is_drop, message_id
from enqueuer.cli._shelf import list_folder, show_queued

__all__ = ["add_to"]

RETRY = "A message in Bad/ is judged anew, with no attempts to its name; a deferred one is offered at once. Needs a running engine."

TEXT = "States: waiting = taken from Submitted, not begun; active = being scanned; deferred = waits for a filter that could not judge it."

SHOW = """What it waits for, since when, and how long that takes as a rule, says a running engine; without one, what the files say. Of what
has left the log tells. The name of a drop, as `submit` prints it, is as good as an id."""

SHOWN = ("enqueuer queue show 1764000000000000", "enqueuer queue show 1764000000000000000-4711-1.sub")


def add_to(app: typer.Typer) -> None:
    group = typer.Typer(help="List, show and retry messages in the queue.", no_args_is_help=True, rich_markup_mode=None)
    group.command("list", **help("List the queue, oldest first.", "enqueuer queue list", "enqueuer queue list --json", text=TEXT))(_list)
    group.command("show", **help("Show a message, and what it waits for.", *SHOWN, text=SHOW))(_show)
    group.command(
        "retry", **help("Have a message judged anew.", "enqueuer queue retry 1764000000000000", "enqueuer queue retry --all", text=RETRY)
    )(_retry)
    app.add_typer(group, name="queue")


def _retry(
    id: Annotated[int | None, typer.Argument(metavar="[ID]", parser=message_id)] = None,
    all: Annotated[bool, typer.Option("--all", help="Everything in Bad/.")] = False,
    base: Base = None,
    json: Json = False,
) -> int:
    if (id is None) != all:
        fail("name one message, or --all", exits.USAGE)
    order(base, "retry", id or 0, json)
    return exits.OK


def _list(base: Base = None, json: Json = False) -> int:
    list_folder("Queue", base, json)
    return exits.OK


def _show(
    message: Annotated[str, typer.Argument(metavar="ID", help="Or the name of its drop.")], base: Base = None, json: Json = False
) -> int:
    enter(base)
    show_queued(drop_id(message) if is_drop(message) else message_id(message), json)
    return exits.OK
