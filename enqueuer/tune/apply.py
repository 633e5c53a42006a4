"""Write what tune recommends into the config file: two keys, whole or not at all. The old file is kept beside it."""

from collections.abc import Mapping
from pathlib import Path

from enqueuer import basedir
from enqueuer.tune.edit import edited

__all__ = ["OLD", "apply"]

OLD = Path("Settings/enqueuer.toml.before-tune")


def apply(base: Path, processors: int | None, slots: Mapping[str, int]) -> bool:
    """Put the settings into the file (None: the number stays). Return False if it has them already. A running engine takes it by itself.

    Raises ConfigError if the file was changed meanwhile and is not valid, and OSError.
    """
    path = base / basedir.CONFIG
    before = basedir.read_config(path)
    after = edited(before.decode("utf-8-sig"), processors=processors, slots=slots).encode()
    if after == before:
        return False
    basedir.replace(base / OLD, before, path)
    basedir.replace(path, after, path)
    basedir.fsync_folder(path.parent)
    return True
