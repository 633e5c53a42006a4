"""Warn of programs and accounts that a config file names and this machine does not have. `config check` prints the warnings."""

import os
import pwd
from collections.abc import Iterator
from pathlib import Path

from enqueuer.config.schema import Config
from filterlink.config.settings import Filter
from filterlink.helpers.spawn import NOT_ROOT, find_program

__all__ = ["warnings"]


def warnings(config: Config) -> Iterator[str]:
    """Return one line for each filter that is enabled and lacks something. Programs are searched as the engine does, from the current
    directory.
    """
    for filter in config.filters:
        if filter.enabled:
            yield from (f'filter "{filter.name}": {problem}' for problem in (*_program(filter), *_user(filter)))


def _program(filter: Filter) -> Iterator[str]:
    word = filter.words()[0]
    try:
        path = Path(find_program(word))
    except FileNotFoundError as error:
        yield f"{error}: install it, or write its full path"
        return
    if not path.exists():
        yield f"program {word} does not exist; write the path of an existing one"
    elif path.is_dir() or not os.access(path, os.X_OK):
        yield f"program {word} cannot be run: chmod +x {word}"


def _user(filter: Filter) -> Iterator[str]:
    try:
        if filter.user and os.geteuid() not in (0, pwd.getpwnam(filter.user).pw_uid):
            yield f"user = {filter.user}: {NOT_ROOT}"
    except KeyError:
        yield f"user = {filter.user}: there is no such account; make it, or remove user"
