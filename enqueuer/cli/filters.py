"""`enqueuer filters` lists and tries the configured filters; `enqueuer filter NAME` is a filter we ship, as a helper program."""

from typing import Annotated

import typer

from enqueuer import exits
from enqueuer.cli import _forrules, _gates, _scanners, _spam, _tryout, _yara
from enqueuer.cli._common import Base, Json, answer, ask, enter, help

__all__ = ["add_to"]


def add_to(app: typer.Typer) -> None:
    group = typer.Typer(help="List and try external filters.", no_args_is_help=True, rich_markup_mode=None)
    group.command("list", **help("List the filters of the running engine.", "enqueuer filters list", "enqueuer filters list --json"))(_list)
    _tryout.add_to(group)
    app.add_typer(group, name="filters")
    shipped = typer.Typer(help="Run a filter that we ship, as a helper program.", no_args_is_help=True, rich_markup_mode=None)
    shipped.callback()(_shipped)
    _yara.add_to(shipped)
    _scanners.add_to(shipped)
    _spam.add_to(shipped)
    _gates.add_to(shipped)
    _forrules.add_to(shipped)
    app.add_typer(shipped, name="filter")


def _shipped(
    check: Annotated[bool, typer.Option("--check", hidden=True, help="Only check the command line, as `config check` does.")] = False,
) -> None:
    if check:
        from filterlink.filters.runtime.check import begin

        begin()


def _list(base: Base = None, json: Json = False) -> int:
    found = ask(enter(base), command="status")["filters"]
    if json:
        answer(found)
    else:
        from enqueuer.cli import _show

        _show.filters(found)
    return exits.OK
