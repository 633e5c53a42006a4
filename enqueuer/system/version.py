"""The version of Enqueuer, as its installation reports it."""

import functools
from importlib.metadata import PackageNotFoundError, version

__all__ = ["our_version"]


@functools.cache
def our_version() -> str:
    """Return the version. It is read once: an engine without a free descriptor must still answer."""
    try:
        return version("enqueuer")
    except PackageNotFoundError:  # run from a checkout without an installation
        return "0"
