"""Sets a limit of the operating system on this process and its children. For a child between fork and exec, and for workers."""

import resource

__all__ = ["lower"]


def lower(which: int, soft: int, hard: int) -> None:
    """Set a limit, but never over the hard one that is in force: only root may raise that. Raises OSError."""
    most = resource.getrlimit(which)[1]
    if most != resource.RLIM_INFINITY:
        soft, hard = min(soft, most), min(hard, most)
    resource.setrlimit(which, (soft, hard))
