"""Demands on the engine in namespaces and containers: what is missing there, and who else runs there. For real, as root."""

from collections.abc import Callable

import pytest

from enqueuer.trial import Trial
from tests.helpers.places import in_namespaces

Config = Callable[..., str]
Make = Callable[..., bytes]
Trials = Callable[[str], Trial]


@pytest.mark.parametrize(
    "script",
    [
        "umount /dev/shm; mount -t tmpfs -o ro none /dev",
        "mount -o remount,ro /dev/shm || mount -t tmpfs -o ro none /dev/shm",
        "mount -t tmpfs none /dev",
    ],
    ids=["no /dev/shm, no /dev/null", "read-only /dev/shm", "an empty /dev that is writable"],
)
def test_without_dev(trials: Trials, config: Config, mail: Make, script: str) -> None:
    """No shared memory, no semaphore and no pipe of ours has a name in /dev."""
    trial = trials(config(processors=2))
    trial.prefix = in_namespaces(script)
    with trial:
        trial.drop("a", mail("a"))
        trial.wait(lambda: len(trial.outbound()) == 1, "mail flows")
        assert trial.stop() == 0
    assert "Traceback" not in trial.log() + trial.output.read_text()
