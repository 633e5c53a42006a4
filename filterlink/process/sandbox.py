"""Take rights away from this process for good: for parsers of data from strangers.

Two mechanisms of the kernel do it, without any privilege. Landlock restricts which files the process may open, and which processes
it may signal. A seccomp filter refuses the system calls that no parser needs, including those outside of Landlock (chmod, sockets).
Both apply to the children of the process, too.

Sources: linux/landlock.h, Documentation/userspace-api/landlock.rst (ABI versions), seccomp(2), libseccomp's seccomp_rule_add(3).
"""

import ctypes
import fcntl
import os
import signal
import sys
import termios
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from filterlink.process.prctl import allow_no_new_privileges

__all__ = ["confine", "interpreter", "missing", "no_landlock", "write_only_below"]

_CREATE_RULESET = 444
_ADD_RULE = 445
_RESTRICT_SELF = 446
"""The numbers of Landlock's system calls on every architecture."""
_VERSION: Final = 1
_PATH_BENEATH = 1
_PR_SET_PDEATHSIG = 1
_CAPABILITIES = 0x20080522
"""The version of capget(2) with 64 capabilities."""
_DAC_READ_SEARCH = 1 << 2
_EXECUTE = 1
_WRITE_FILE = 2
_READ_FILE = 4
_READ_DIR = 8
_ALL_OF_ABI = (0, 0x1FFF, 0x3FFF, 0x7FFF, 0x7FFF, 0xFFFF)
"""The rights on files that an ABI version knows, by version; later versions add none."""
_OF_FILES = 1 | 2 | 4 | 1 << 14 | 1 << 15
"""The rights that a rule for a single file may have."""
_BIND_AND_CONNECT = 1 | 2
_ABSTRACT_SOCKETS = 1
_SIGNALS = 2
_READ = _READ_FILE | _READ_DIR

LIBSECCOMP = "libseccomp.so.2"
_ALLOW = 0x7FFF0000
_ERRNO = 0x00050000
_NOT_EQUAL = 1
_MASKED_EQUAL = 7
_EPERM = 1
_ENOSYS = 38
_CLONE_NEW = 0x7E020000
"""The flags of clone(2) that make namespaces."""

SYSTEM = ("/usr", "/lib", "/lib64", "/dev/null", "/dev/urandom", "/etc/ld.so.cache", "/proc/self/statm")

REFUSED = (
    # other programs, other processes
    "execve execveat ptrace process_vm_readv process_vm_writev process_madvise pidfd_getfd pidfd_send_signal kcmp tkill "
    "rt_sigqueueinfo rt_tgsigqueueinfo setpgid setsid setpriority sched_setscheduler sched_setparam sched_setattr sched_setaffinity "
    "ioprio_set migrate_pages move_pages "
    # the network, and ways around Landlock or this filter
    "socket socketpair connect bind listen accept accept4 io_uring_setup open_by_handle_at openat2 userfaultfd bpf perf_event_open "
    "fanotify_init unshare setns mount umount2 move_mount open_tree fsopen fspick mount_setattr pivot_root chroot add_key request_key "
    "keyctl "
    # what Landlock does not restrict
    "chmod fchmod fchmodat fchmodat2 chown fchown lchown fchownat setxattr lsetxattr fsetxattr removexattr lremovexattr fremovexattr "
    "utime utimes futimesat utimensat truncate mknod mknodat quotactl quotactl_fd shmget shmat msgget semget mq_open mq_unlink "
    "inotify_init inotify_init1"
)
"""Names of the system calls that fail with EPERM. Names that this kernel or libseccomp does not know are left out.

`socketpair`: one of a pair of datagram sockets could send to any socket by its path, without connect.
"""
NEWER = (463, 466, 467, 469)
"""setxattrat, removexattrat, open_tree_attr and file_setattr, which an older libseccomp does not know. Their numbers are the same on every
architecture."""
REFUSED_ARGUMENTS = (
    # the owner of a descriptor (F_SETOWN) gets its signals, even SIGKILL; a lease blocks other processes that open the message
    *(("fcntl", 1, command) for command in (fcntl.F_SETOWN, 15, fcntl.F_SETSIG, fcntl.F_SETLEASE, fcntl.F_NOTIFY)),  # 15: F_SETOWN_EX
    *(("ioctl", 1, command) for command in (0x8901, 0x8902, termios.TIOCSTI, 0x541C)),  # FIOSETOWN, SIOCSPGRP, TIOCLINUX
    # the mark of its helper (orphans.py)
    ("setrlimit", 0, 10),
    ("prlimit64", 1, 10),
)
"""System calls that fail with EPERM if the argument with this index has this value in its lower 32 bits: the kernel reads only these."""


class _Ruleset(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("rights", ctypes.c_uint64), ("folder", ctypes.c_int32))


class _Compare(ctypes.Structure):
    """libseccomp's struct scmp_arg_cmp."""

    _fields_ = (("argument", ctypes.c_uint), ("how", ctypes.c_int), ("one", ctypes.c_uint64), ("two", ctypes.c_uint64))


_libc = ctypes.CDLL(None, use_errno=True)


def confine(readable: Iterable[str]) -> None:
    """Let this process only read what is below these files and folders: no other file, no program, process or network.

    A root process keeps root's privilege to read: the interpreter's files may belong to another account.

    Open files stay open. The process becomes the leader of a process group, and can signal only that group.
    This function skips what the kernel cannot do (see `missing`). Raises OSError if the kernel refuses what it can do.
    """
    os.setpgid(0, 0)
    _drop_privileges()
    if abi := _abi():
        _restrict(abi, dict.fromkeys(readable, _READ), _BIND_AND_CONNECT, _ABSTRACT_SOCKETS | _SIGNALS)
    if (library := _libseccomp()) is not None:
        _filter_calls(library)


def write_only_below(folders: Iterable[str]) -> None:
    """Let this process, and the program that it becomes, change files only below these folders, and signal only its own children.

    It reads, runs and connects as before. Raises OSError if the kernel cannot do it (see `no_landlock`), or a folder is missing.
    """
    _restrict(_abi(), {"/": _READ | _EXECUTE, "/dev/null": _OF_FILES} | dict.fromkeys(folders, _ALL_OF_ABI[-1]), 0, _SIGNALS)


def missing() -> list[str]:
    """Return in words which rights `confine` cannot take away on this machine."""
    lacking = [no_landlock()] if no_landlock() else []
    if _libseccomp() is None:
        lacking.append("libseccomp.so.2 is not installed (apt-get install libseccomp2): the network can be reached")
    return lacking


def no_landlock() -> str:
    """Return why files cannot be protected on this machine; an empty text if they can."""
    if _abi():
        return ""
    return "this kernel has no Landlock (Linux 5.13; CONFIG_LSM or a container may leave it out): files are not protected"


def interpreter() -> list[str]:
    """Return the files and folders that a confined Python process needs: for later imports, for data of libraries, and for its size."""
    places = {sys.prefix, sys.base_prefix, *sys.path, str(Path(__file__).parent), *SYSTEM}
    return sorted(place for place in places if os.path.isabs(place) and os.path.exists(place))


def _drop_privileges() -> None:
    """Drop the capabilities of a process that starts no other program. If capset is refused, they stay (systemd's @privileged filter)."""
    version = (ctypes.c_uint32 * 2)(_CAPABILITIES, 0)
    had = (ctypes.c_uint32 * 6)()
    _checked(_libc.capget(version, had))
    _libc.capset(version, (ctypes.c_uint32 * 6)(had[0] & _DAC_READ_SEARCH, had[1] & _DAC_READ_SEARCH))


def _abi() -> int:
    """Return Landlock's ABI version in this kernel; 0: none."""
    return max(0, int(_libc.syscall(_CREATE_RULESET, None, 0, _VERSION)))


def _restrict(abi: int, rules: dict[str, int], network: int, scope: int) -> None:
    """Apply a ruleset. `rules`: rights below a file or folder; elsewhere none. `network`, `scope`: rights to remove if the ABI has them."""
    files = _ALL_OF_ABI[min(abi, len(_ALL_OF_ABI) - 1)]
    ruleset = _Ruleset(files, network if abi >= 4 else 0, scope if abi >= 6 else 0)
    size = 24 if abi >= 6 else 16 if abi >= 4 else 8
    made = _checked(_libc.syscall(_CREATE_RULESET, ctypes.byref(ruleset), size, 0))
    try:
        for place, rights in rules.items():
            _add(made, place, rights & files)
        allow_no_new_privileges()
        _checked(_libc.syscall(_RESTRICT_SELF, made, 0))
    finally:
        os.close(made)


def _add(ruleset: int, place: str, rights: int) -> None:
    opened = os.open(place, os.O_PATH | os.O_CLOEXEC)
    try:
        if not os.path.isdir(place):
            rights &= _OF_FILES
        _checked(_libc.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, ctypes.byref(_Beneath(rights, opened)), 0))
    finally:
        os.close(opened)


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"no sandbox: {os.strerror(number)}")
    return result


def _libseccomp() -> ctypes.CDLL | None:
    try:
        library = ctypes.CDLL(LIBSECCOMP)
    except OSError:
        return None
    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_release.argtypes = library.seccomp_load.argtypes = (ctypes.c_void_p,)
    library.seccomp_rule_add_array.argtypes = (ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint, ctypes.POINTER(_Compare))
    return library


def _filter_calls(library: ctypes.CDLL) -> None:
    context = library.seccomp_init(_ALLOW)
    if not context:
        raise OSError("no sandbox: libseccomp has no memory")
    try:
        for name in REFUSED.split():
            _refuse(library, context, name)
        _refuse(library, context, "kill", _Compare(0, _NOT_EQUAL, 0))  # 0: its own group
        _refuse(library, context, "tgkill", _Compare(0, _NOT_EQUAL, os.getpid()))
        _refuse(library, context, "prlimit64", _Compare(0, _NOT_EQUAL, 0))
        for name, flags in (("open", 1), ("openat", 2)):  # Landlock covers it from Linux 6.2 on
            _refuse(library, context, name, _Compare(flags, _MASKED_EQUAL, os.O_TRUNC, os.O_TRUNC))
        for flag in (1 << bit for bit in range(32) if _CLONE_NEW >> bit & 1):
            _refuse(library, context, "clone", _Compare(0, _MASKED_EQUAL, flag, flag))
        for name, argument, value in REFUSED_ARGUMENTS:
            _refuse(library, context, name, _Compare(argument, _MASKED_EQUAL, 0xFFFFFFFF, value))
        _refuse(
            library, context, "prctl", _Compare(0, _MASKED_EQUAL, 0xFFFFFFFF, _PR_SET_PDEATHSIG), _Compare(1, _NOT_EQUAL, signal.SIGKILL)
        )
        for number in NEWER:
            _loaded(library.seccomp_rule_add_array(context, _ERRNO | _EPERM, number, 0, None))
        _refuse(library, context, "clone3", error=_ENOSYS)  # a filter cannot see its flags; the C library falls back to clone
        _loaded(library.seccomp_load(context))
    finally:
        library.seccomp_release(context)


def _refuse(library: ctypes.CDLL, context: int, name: str, *compare: _Compare, error: int = _EPERM) -> None:
    number = library.seccomp_syscall_resolve_name(name.encode())
    if number == -1:
        return
    array = (_Compare * len(compare))(*compare)
    result = library.seccomp_rule_add_array(context, _ERRNO | error, number, len(compare), array)
    if number >= 0:  # a negative number: not a call of this architecture
        _loaded(result)


def _loaded(result: int) -> None:
    if result < 0:
        raise OSError(-result, f"no sandbox: {os.strerror(-result)}")
