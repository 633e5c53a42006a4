"""Demands on the choice: `group` only where journaled ext4's or xfs's promises hold, and one remark that says what and why."""

import pytest

from enqueuer.queue.directory.durability import Mount, choose, find_mount, leases_tell

MOUNTS = """\
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard
42 27 7:0 / /srv/a\\040b rw,noatime shared:3 master:1 - xfs /dev/loop0 rw
"""


@pytest.mark.parametrize(
    ("type", "journal", "expected", "says"),
    [
        ("ext4", True, "group", ""),
        ("ext3", True, "group", ""),
        ("xfs", False, "group", ""),
        ("ext4", False, "each", "ext4 without a journal"),
        ("ext2", False, "each", "ext2"),
        ("nfs4", False, "each", "another machine"),
        ("fuse.sshfs", False, "each", "another machine or program"),
        ("overlay", False, "each", "overlay"),
        ("btrfs", False, "each", "btrfs"),
        ("bcachefs", True, "each", "not known"),
        ("tmpfs", False, "group", "nothing on it survives"),
    ],
)
def test_group_needs_an_ordered_journal(type: str, journal: bool, expected: str, says: str) -> None:
    choice = choose("group", Mount(type, "8:1"), journal=journal)

    assert choice.durability == expected
    assert says in choice.remark
    assert bool(choice.remark) == bool(says)


def test_a_filesystem_that_cannot_be_told_gets_each() -> None:
    assert choose("group", None, journal=False).durability == "each"


@pytest.mark.parametrize("type", ["xfs", "nfs", "tmpfs"])
def test_each_and_off_are_taken_as_written(type: str) -> None:
    """`each` needs no remark; `off` says at every start what it costs."""
    assert choose("each", Mount(type, "8:1"), journal=False) == ("each", "")
    assert choose("off", Mount(type, "8:1"), journal=True).durability == "off"
    assert "power cut" in choose("off", Mount(type, "8:1"), journal=True).remark


def test_a_mount_is_found_by_its_id() -> None:
    """Optional fields before the dash, escaped blanks, and numbers that begin alike do not mislead."""
    assert find_mount(MOUNTS, 42) == Mount("xfs", "7:0")
    assert find_mount(MOUNTS, 27) == Mount("ext4", "254:0")
    assert find_mount(MOUNTS, 2) is None
    assert find_mount("", 27) is None


def test_where_leases_tell() -> None:
    """On filesystems of this machine, also in a chroot, where no mount line tells of them; not on FUSE or NFS."""
    assert leases_tell(Mount("ext4", "254:0"), 0)
    assert not leases_tell(Mount("fuse.sshfs", "0:50"), 0xEF53)
    assert leases_tell(None, 0xEF53)
    assert not leases_tell(None, 0x65735546)
    assert not leases_tell(None, 0x6969)
    assert not leases_tell(None, 0)
