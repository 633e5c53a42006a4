"""Set a limit of the operating system on this process and its children. For a child between fork and exec, and for workers."""

import resource

__all__ = ["lower"]

LARGEST = (1 << 63) - 1


def lower(which: int, soft: int, hard: int) -> None:
    """Set a limit, but never over the hard limit in force, which only root may raise, or over the kernel's largest value.

    Raises OSError.
    """
    most = resource.getrlimit(which)[1]
    if most == resource.RLIM_INFINITY:
        most = LARGEST
    resource.setrlimit(which, (min(soft, most), min(hard, most)))
