"""Prepare a child process between fork and its work: it dies with its parent, and has limits."""

import os
import resource

from filterlink.process.prctl import die_with_parent
from filterlink.process.rlimits import lower

__all__ = ["die_with", "restrain"]


def die_with(parent: int) -> None:
    """Have the kernel kill this process when `parent` ends. If `parent` has already ended, exit at once with status 127."""
    die_with_parent()
    if os.getppid() != parent:
        os._exit(127)


def restrain(cpu: int = 0, memory: int = 0, cpu_more: int = 1) -> None:
    """Limit the seconds of processor time and the bytes of address space (0: no limit), and forbid core files.

    A core file would hold a copy of mail. `cpu_more`: seconds between SIGXCPU, which a program may catch, and SIGKILL. Raises OSError.
    """
    lower(resource.RLIMIT_CORE, 0, 0)
    if cpu:
        lower(resource.RLIMIT_CPU, cpu, cpu + cpu_more)
    if memory:
        lower(resource.RLIMIT_AS, memory, memory)
