"""Demands on the filesystems that a base directory may be on: mail flows, nothing is refused, and the log says what the disk promises."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from enqueuer.lab.trial import Trial
from tests.storm import disks

Config = Callable[..., str]
Make = Callable[..., bytes]


@contextlib.contextmanager
def on(kind: str, folder: Path) -> Iterator[Path]:
    """A folder on a new filesystem of that kind."""
    if kind == "tmpfs":
        disks.need()
        with disks.mounted("none", folder / "disk", "size=64m", kind="tmpfs") as place:
            yield place
    elif kind == "overlay":
        disks.need()
        with disks.mounted("none", folder / "store", "size=64m", kind="tmpfs") as store:  # overlay on overlay is refused
            layers = {name: store / name for name in ("lowerdir", "upperdir", "workdir")}
            for layer in layers.values():
                layer.mkdir()
            options = [f"{name}={path}" for name, path in layers.items()]
            with disks.mounted("none", folder / "disk", *options, kind="overlay") as place:
                yield place
    else:
        disks.need(disks.MAKE[kind][0])
        if f"\t{kind}\n" not in Path("/proc/filesystems").read_text():
            pytest.skip(f"this kernel has no {kind}")
        disks.make(kind, folder / "image")
        with disks.mounted(folder / "image", folder / "disk", "loop") as place:
            yield place


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("ext4", None),
        ("xfs", None),
        ("btrfs", "is btrfs, which promises less than a journaled ext4 or xfs"),
        ("overlay", "is overlay, which promises less than a journaled ext4 or xfs"),
        ("tmpfs", "is on tmpfs: nothing on it survives a power cut"),
    ],
)
def test_mail_flows_on(config: Config, mail: Make, tmp_path: Path, kind: str, told: str | None) -> None:
    """In copies and by rename; also after a start that finds mail in the queue. What FUSE does is in test_spooler.py."""
    with on(kind, tmp_path) as disk:
        trial = Trial(disk / "base", config(processors=2))
        try:
            for start in range(2):
                trial.drop(f"waits{start}", mail(f"waits{start}"))
                with trial:
                    for number in range(10):
                        judge = 'ADDHEADER "X-A: b"' if number % 2 else "OK"
                        trial.drop(f"{start}-{number}", mail(f"{start}-{number}", judge))
                    trial.wait(lambda start=start: len(trial.outbound()) == 11 * (start + 1), "mail flows")  # type: ignore[misc]
                    assert trial.status()["unaccounted"] == 0
                    assert trial.stop() == 0
        finally:
            trial.end()
        assert told is None or told in trial.log()
        assert told is not None or "durability" not in trial.log()
        assert not list(disk.rglob("*.bad"))
