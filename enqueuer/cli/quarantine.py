"""`enqueuer quarantine`: the messages that a filter or a rule kept from going on."""

import typer

from enqueuer import exits
from enqueuer.cli._common import Base, Json, help, order
from enqueuer.cli._meant import Id
from enqueuer.cli._shelf import list_folder, show_message

__all__ = ["add_to"]


def add_to(app: typer.Typer) -> None:
    group = typer.Typer(help="List, show, release and delete messages in quarantine.", no_args_is_help=True, rich_markup_mode=None)
    group.command("list", **help("List the quarantine, oldest first.", "enqueuer quarantine list", "enqueuer quarantine list --json"))(
        _list
    )
    group.command("show", **help("Show a message, and why it was kept.", "enqueuer quarantine show 1764000000000000"))(_show)
    group.command("release", **help("Let a message go on after the rule that kept it.", "enqueuer quarantine release 1764000000000000"))(
        _release
    )
    group.command("delete", **help("Delete a message and its reason for good.", "enqueuer quarantine delete 1764000000000000"))(_delete)
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
