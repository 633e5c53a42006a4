"""`enqueuer quarantine`: the messages that a filter or a rule kept in Quarantine."""

import typer

from enqueuer import exits
from enqueuer.cli._common import Base, Json, help, order
from enqueuer.cli._meant import Id
from enqueuer.cli._shelf import list_folder, show_message

__all__ = ["add_to"]


RELEASE = "It goes on after the filter that stopped it: the rest of that rule, then the next rules. Needs a running engine."


def add_to(app: typer.Typer) -> None:
    group = typer.Typer(help="List, show, release or delete messages in quarantine.", no_args_is_help=True, rich_markup_mode=None)
    group.command(
        "list", **help("List the messages in quarantine, oldest first.", "enqueuer quarantine list", "enqueuer quarantine list --json")
    )(_list)
    group.command("show", **help("Show a message, and why it is in quarantine.", "enqueuer quarantine show 1764000000000000"))(_show)
    group.command("release", **help("Let a message go on.", "enqueuer quarantine release 1764000000000000", text=RELEASE))(_release)
    group.command("delete", **help("Delete a message for good.", "enqueuer quarantine delete 1764000000000000"))(_delete)
    app.add_typer(group, name="quarantine")


def _list(base: Base = None, json: Json = False) -> int:
    list_folder("Quarantine", base, json)
    return exits.OK


def _show(id: Id, base: Base = None, json: Json = False) -> int:
    show_message("Quarantine", id, base, json)
    return exits.OK


def _release(id: Id, base: Base = None, json: Json = False) -> int:
    order(base, "release", id, json)
    return exits.OK


def _delete(id: Id, base: Base = None, json: Json = False) -> int:
    order(base, "delete", id, json)
    return exits.OK
