"""`enqueuer bad`: the messages that the engine gave up, in Bad."""

from typing import Annotated

import typer

from enqueuer import exits
from enqueuer.cli._common import Base, Json, fail, help, order
from enqueuer.cli._meant import Id, message_id
from enqueuer.cli._shelf import list_folder, show_message

__all__ = ["add_to"]

RETRY = """Sets its attempts to 0. Refuses a message if its file was cut or changed. Needs a running engine."""
DELETE = "Does not ask before it deletes. Needs a running engine."

SomeId = Annotated[int | None, typer.Argument(metavar="ID", parser=message_id, help="The id in the list and in the log.")]
All = Annotated[bool, typer.Option("--all", help="All messages in Bad.")]


def add_to(app: typer.Typer) -> None:
    group = typer.Typer(help="List, show, retry or delete messages that were given up.", no_args_is_help=True, rich_markup_mode=None)
    group.command("list", **help("List the messages in Bad, oldest first.", "enqueuer bad list", "enqueuer bad list --json"))(_list)
    group.command("show", **help("Show a message, and why it was given up.", "enqueuer bad show 1764000000000000"))(_show)
    group.command("retry", **help("Scan a message again.", "enqueuer bad retry 1764000000000000", "enqueuer bad retry --all", text=RETRY))(
        _retry
    )
    group.command(
        "delete", **help("Delete a message for good.", "enqueuer bad delete 1764000000000000", "enqueuer bad delete --all", text=DELETE)
    )(_delete)
    app.add_typer(group, name="bad")


def _list(base: Base = None, json: Json = False) -> int:
    list_folder("Bad", base, json)
    return exits.OK


def _show(id: Id, base: Base = None, json: Json = False) -> int:
    show_message("Bad", id, base, json)
    return exits.OK


def _retry(id: SomeId = None, all: All = False, base: Base = None, json: Json = False) -> int:
    return _carry_out("retry", id, all, base, json)


def _delete(id: SomeId = None, all: All = False, base: Base = None, json: Json = False) -> int:
    return _carry_out("delete", id, all, base, json)


def _carry_out(verb: str, id: int | None, all: bool, base: str | None, json: bool) -> int:
    if (id is None) != all:
        fail(f"name one message: enqueuer bad {verb} ID, or all of them: enqueuer bad {verb} --all", exits.USAGE)
    order(base, f"{verb}-bad", id or 0, json)
    return exits.OK
