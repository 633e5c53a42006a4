"""Choose how to make things durable on a filesystem, and whether its leases can be believed. Pure: the mount is an argument.

group   one syncfs for everything that gathered. Right where a later rename never becomes durable before an earlier one
        and a sync covers both: ext3 and ext4 with their journal, xfs.
each    fsync of every file and of every folder, in the order of the commit. For all others.
off     no sync. A power cut loses mail; the death of a process does not.
"""

from typing import Literal, NamedTuple

__all__ = ["Choice", "Durability", "Mount", "choose", "find_mount", "leases_tell"]

Durability = Literal["group", "each", "off"]

JOURNAL_IN_PROC = frozenset({"ext3", "ext4"})
"""ext4 may lack a journal. Then fsync of one file does not make another file's name durable."""
VOLATILE = frozenset({"tmpfs", "ramfs"})
NETWORK = frozenset({"nfs", "nfs4", "cifs", "smb3", "ceph", "9p", "virtiofs", "glusterfs", "afs", "lustre", "ocfs2", "gfs2"})

LOCAL = frozenset(
    {
        "bcachefs",
        "btrfs",
        "exfat",
        "ext2",
        "ext3",
        "ext4",
        "f2fs",
        "jfs",
        "nilfs2",
        "overlay",
        "ramfs",
        "reiserfs",
        "tmpfs",
        "vfat",
        "xfs",
        "zfs",
    }
)
"""Filesystems of this machine alone: this kernel sees each process that has a file open for writing."""
LOCAL_MAGIC = frozenset(
    {0xEF53, 0x58465342, 0x9123683E, 0x01021994, 0x858458F6, 0x794C7630, 0xF2F52010, 0xCA451A4E, 0x2FC12FC1, 0x3153464A}
)
"""The same filesystems by f_type of statfs(2): ext2 to ext4, xfs, btrfs, tmpfs, ramfs, overlay, f2fs, bcachefs, zfs, jfs. In a chroot no
mount line names the filesystem.
"""


class Mount(NamedTuple):
    """The fields of one line of /proc/<pid>/mountinfo that count here."""

    type: str
    device: str
    """major:minor"""


class Choice(NamedTuple):
    """The chosen durability, and a remark for the log ("" = none)."""

    durability: Durability
    remark: str = ""


def find_mount(mountinfo: str, mount_id: int) -> Mount | None:
    """Return the mount with this id. The fields before " - " vary in number, those after it do not."""
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        fields = left.split()
        kinds = right.split()
        if len(fields) > 2 and kinds and fields[0] == str(mount_id):
            return Mount(kinds[0], fields[2])
    return None


def choose(wanted: Durability, mount: Mount | None, *, journal: bool) -> Choice:
    """Return the meaning of `durability = wanted` on this mount. `journal`: the kernel lists a journal of its device."""
    if wanted == "off":
        return Choice("off", 'durability = "off": a power cut loses mail; the death of a process does not')
    if wanted == "each":
        return Choice("each")
    if mount is None:
        return _each("is unknown")
    if mount.type == "xfs" or (mount.type in JOURNAL_IN_PROC and journal):
        return Choice("group")
    if mount.type in VOLATILE:
        return Choice("group", f"the base directory is on {mount.type}: nothing on it survives a power cut")
    if mount.type in JOURNAL_IN_PROC:
        return _each(f"is {mount.type} without a journal")
    if mount.type in NETWORK or mount.type.startswith("fuse"):
        return _each(f"is {mount.type}, a filesystem of another machine or program")
    return _each(f"is {mount.type}, which promises less than a journaled ext4 or xfs, or is not known")


def leases_tell(mount: Mount | None, magic: int) -> bool:
    """Return whether a lease shows that no process has a file open for writing. `magic` (statfs) counts if the mount is unknown."""
    return mount.type in LOCAL if mount is not None else magic in LOCAL_MAGIC


def _each(what: str) -> Choice:
    return Choice("each", f'durability = "each" is used instead of "group": the filesystem of the base directory {what}')
