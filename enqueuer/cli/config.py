"""`enqueuer config`: is the config file good?"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from enqueuer import exits
from enqueuer.cli._common import Base, enter, help, printable

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
    from enqueuer import basedir, doubts, rights
    from enqueuer import config as configs
    from enqueuer.cli import _absent

    path, name = Path(basedir.CONFIG), str(file)
    if file is None:
        name = str(enter(base) / basedir.CONFIG)
    elif file.absolute().parent.name == "Settings":  # of a base directory, which the programs are relative to
        rights.enter(file.absolute().parent.parent)
        path = Path("Settings", file.name)
    else:
        path = file
    config = configs.load(basedir.read_config(path), name)
    for warning in (*doubts.warnings(config), *_absent.warnings(config)):
        print(f"warning: {printable(warning)}", file=sys.stderr)
    print(f"{printable(name)}: ok")
    return exits.OK
