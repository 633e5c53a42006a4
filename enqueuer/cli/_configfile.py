"""Find and read the config file that a command is about, and the named lists beside it."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

__all__ = ["GivenConfig", "read", "read_here"]


class GivenConfig(NamedTuple):
    name: str
    """For people."""
    path: Path
    """From the current directory."""
    data: bytes
    lists: Mapping[str, tuple[str, ...]] | None
    """None: the file is not in a base directory, so that its lists are unknown."""


def read(file: Path | None, base: str | None) -> GivenConfig:
    """Read a file, or that of the base directory. If it is in a base directory, go into it. Raises OSError and ConfigError."""
    from enqueuer import basedir
    from enqueuer.cli._common import enter
    from enqueuer.system import accounts

    path = Path(basedir.CONFIG)
    name = str(file)
    if file is None:
        name = str(enter(base) / basedir.CONFIG)
    elif file.absolute().parent.name == "Settings":  # the programs of a base directory are relative to it
        accounts.enter(file.absolute().parent.parent)
        path = Path("Settings", file.name)
    else:
        path = file
    return GivenConfig(name, path, basedir.read_config(path), _lists(path))


def read_here(base: Path) -> GivenConfig:
    """Read the file of the base directory that is the current directory. `base`: its path, for people. Raises OSError and ConfigError."""
    from enqueuer import basedir

    path = Path(basedir.CONFIG)
    return GivenConfig(str(base / path), path, basedir.read_config(path), _lists(path))


def _lists(path: Path) -> dict[str, tuple[str, ...]] | None:
    from enqueuer.config.schema import ConfigError
    from enqueuer.system import listfiles

    if path.parent.name != "Settings":
        return None
    try:
        return listfiles.read(str(path.parent / "lists"))
    except ValueError as error:
        raise ConfigError(str(error)) from None
