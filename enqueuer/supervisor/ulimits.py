"""The limits on processes (ulimit): raise them, and report those that are too low for an engine."""

import contextlib
import resource

from enqueuer.config.schema import Config

__all__ = ["descriptors_needed", "raise_descriptors", "small_files"]

LEAST = 128
"""Descriptors that any engine needs: sockets, locks, mappings, and the files of one batch that are open at the same time."""
MOST = 65536
"""The most descriptors to ask for: a program that closes all possible descriptors would take long with more."""


def raise_descriptors() -> int:
    """Raise the limit of descriptors as far as allowed; return the new limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY:
        hard = MOST
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, MOST)), resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def descriptors_needed(config: Config | None = None) -> int:
    """Return the descriptors that the process with the most open ones needs. A processor takes up to 4, a helper and its successor 8.
    A door process has a descriptor for each session.
    """
    if config is None:
        return LEAST
    helpers = sum(each.instances for each in config.filters if each.enabled)
    sessions = sum(each.max_sessions for each in config.doors)
    return LEAST + sessions + 4 * config.enqueuer.most_processors + 8 * helpers


def small_files(config: Config) -> str | None:
    """Return a warning if a message may be larger than a file may be, else None."""
    most, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    if most == resource.RLIM_INFINITY or most > config.spool.max_size:
        return None
    return f"files may have at most {most} bytes (ulimit -f), messages {config.spool.max_size} (spool.max_size): a larger message waits"
