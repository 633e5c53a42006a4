"""The limits on processes (ulimit) that an engine is born with: what it needs, and what it says where it has less."""

import contextlib
import resource

from enqueuer.config.schema import Config

__all__ = ["descriptors_needed", "raise_descriptors", "small_files"]

LEAST = 128
"""Descriptors that any engine needs: sockets, locks and mappings, and the files of one batch that are open at the same time."""
MOST = 65536
"""More are not asked for: a program that closes all that it might have would take long."""


def raise_descriptors() -> int:
    """Take as many descriptors as this process may have; return how many that are."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY:
        hard = MOST
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, MOST)), resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def descriptors_needed(config: Config | None = None) -> int:
    """How many the process of an engine needs that has the most open. A processor takes up to 4, a helper and its twin 8."""
    if config is None:
        return LEAST
    helpers = sum(each.instances for each in config.filters if each.enabled)
    return LEAST + 4 * config.enqueuer.most_processors + 8 * helpers


def small_files(config: Config) -> str | None:
    """Say it where a message may be larger than a file may be."""
    most, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    if most == resource.RLIM_INFINITY or most > config.spool.max_size:
        return None
    return f"no file may be larger than {most} bytes (ulimit -f), but a message may (spool.max_size = {config.spool.max_size}): it waits"
