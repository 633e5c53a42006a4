"""`enqueuer config`: check the config file."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from enqueuer import exits
from enqueuer.cli import _configfile
from enqueuer.cli._common import Base, fail, help, printable

if TYPE_CHECKING:
    from enqueuer.config.schema import Config

__all__ = ["add_to"]


TEXT = """Prints "ok" and exits with 0 if a running engine would accept the file. Else it prints the first error and exits with 78. It also
tries the command lines of our own filters, with the rules and folders that they name. It warns of settings that are allowed but probably
not meant. Needs no engine and changes nothing."""
LINES_WITHIN = 30.0
"""Seconds that the command lines of our own filters may take, all at once."""


def add_to(app: typer.Typer) -> None:
    group = typer.Typer(help="Check a config file.", no_args_is_help=True, rich_markup_mode=None)
    group.command("check", **help("Check a config file.", "enqueuer config check", "enqueuer config check new.toml", text=TEXT))(_check)
    app.add_typer(group, name="config")


def _check(
    file: Annotated[Path | None, typer.Argument(metavar="FILE", help="Default: the config file of the base directory.")] = None,
    base: Base = None,
) -> int:
    from enqueuer import basedir, filterlines
    from enqueuer.cli import _absent
    from enqueuer.config import lint
    from enqueuer.config import schema as configs

    name, path, data, lists = _configfile.read(file, base)
    config = configs.load(data, name, lists)
    absent = list(_absent.warnings(config))
    lines = filterlines.expect_parsed(config, name, LINES_WITHIN)
    if basedir.is_base(Path()):
        _expect_renames(config)
    for warning in (*lint.warnings(config), *absent, *lines, *_rights(path.absolute(), config)):
        print(f"warning: {printable(warning)}", file=sys.stderr)
    print(f"{printable(name)}: ok")
    return exits.OK


def _expect_renames(config: "Config") -> None:
    """Check renames as the start of an engine does. An account that may not write there cannot find out."""
    from enqueuer import mounts

    try:
        mounts.expect_renames(Path(), config.modules)
    except mounts.Apart as problem:
        fail(str(problem), exits.CONFIG)
    except (PermissionError, FileNotFoundError):
        pass


def _rights(path: Path, config: "Config") -> Iterator[str]:
    """Return what other accounts may do to the file, and in the drop folder of its base directory. The owner of Queue/ is the engine's
    account.
    """
    from enqueuer.system import trust

    if path.parent.name != "Settings":
        return
    with contextlib.suppress(OSError):
        engine = (path.parent.parent / "Queue").stat().st_uid
        if (problem := trust.unsafe(str(path), path.stat(), engine)) is not None:
            yield problem
        yield from trust.folders(path, engine)
    with contextlib.suppress(OSError):
        folder = path.parent.parent / "Submitted"
        yield from trust.drop_folder(folder)
        if trust.is_shared(folder) and ".sub" not in config.spool.suffixes:
            yield "spool.suffixes has no .sub: `submit` of an account that may not read this file uses it, and its mail stays"
