"""`enqueuer config`: is the config file good?"""

import contextlib
import sys
from pathlib import Path
from typing import Annotated

import typer

from enqueuer import exits
from enqueuer.cli._common import Base, help

__all__ = ["add_to"]


def add_to(app: typer.Typer) -> None:
    group = typer.Typer(help="Check the config file.", no_args_is_help=True, rich_markup_mode=None)
    group.command("check", **help("Say whether a config file can be taken.", "enqueuer config check", "enqueuer config check new.toml"))(
        _check
    )
    app.add_typer(group, name="config")


def _check(
    file: Annotated[Path | None, typer.Argument(metavar="FILE", help="Else the one of the base directory.")] = None, base: Base = None
) -> int:
    from enqueuer import basedir, doubts
    from enqueuer import config as configs
    from enqueuer.cli import _absent

    path = file if file is not None else basedir.find(base) / basedir.CONFIG
    config = configs.load(basedir.read_config(path), str(path))
    folder = path.absolute().parent.parent if path.absolute().parent.name == "Settings" else Path()
    with contextlib.chdir(folder):  # what the engine's programs are relative to
        absent = list(_absent.warnings(config))
    for warning in (*doubts.warnings(config), *absent):
        print(f"warning: {warning}", file=sys.stderr)
    print(f"{path}: ok")
    return exits.OK
