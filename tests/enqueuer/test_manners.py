"""Helpers with the manners of real ones, in a running engine: no message is lost, doubled or left behind."""

import json
import os
import pwd
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from enqueuer.lab.trial import Trial
from enqueuer.queue.message import envelope
from tests.helpers.paths import PROGRAMS

PLAY = PROGRAMS / "play.pl"


def is_true(data: bytes) -> bool:
    """The O line tells length and digest of the file as it is."""
    line = envelope.parse_o(data)
    assert line is not None
    rest = envelope.Digest(data[: line.offset] + data[line.offset + envelope.O_LENGTH :])
    return rest.line() == envelope.o_line(line.length, line.digest)


@pytest.mark.skipif(shutil.which("perl") is None, reason="perl is not installed")
@pytest.mark.parametrize("manner", ["rewrites", "forks", "leaves", "glues", "twice", "hasty", "echoes", "silent"])
def test_twenty_messages(trials: Callable[[str], Trial], config: Callable[..., str], mail: Callable[..., bytes], manner: str) -> None:
    """All twenty come out once; what a helper wrote into the queue file is in the output, whole and once."""
    trial = trials(config(judge=f"perl {PLAY} {manner}", filter='timeout = "4s"'))
    trial.start()
    for number in range(20):
        trial.drop(f"m{number}", mail(f"m{number}"))
    trial.wait(lambda: len(trial.outbound()) >= 20 and trial.status()["queue"]["active"] == 0, "all are out")
    texts = [path.read_text() for path in trial.outbound()]
    digests = [is_true(path.read_bytes()) for path in trial.outbound()]

    assert sorted(text.partition("Subject: ")[2].partition("\n")[0] for text in texts) == sorted(f"m{number}" for number in range(20))
    assert {text.count("X-Rewritten: yes\n") for text in texts} == {1 if manner == "rewrites" else 0}
    assert digests == [True] * 20
    assert not list((trial.base / "Queue").glob("*.msg"))
    assert trial.stop() == 0


TELLS = (
    "sh -c 'while read -r n verb file; do case $verb in INTF) echo $n INTF 4;; FILE) "
    "cat $file > /dev/null && echo $n ERROR judged by $(id -un) || echo $n FAILURE;; *) echo $n OK;; esac; done'"
)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another")
def test_a_helper_with_an_account_of_its_own(
    trials: Callable[[str], Trial], config: Callable[..., str], mail: Callable[..., bytes]
) -> None:
    """One that may not read messages is not started, and no message passes by it; once the cure is done that was named, it judges."""
    with trials(config(judge=TELLS, filter='user = "nobody"')) as trial:
        trial.drop("one", mail("one"))
        trial.wait(lambda: trial.status()["filters"][0]["state"] == "failed", "it cannot be started")
        trial.wait(lambda: trial.status()["queue"]["parked"] == 1, "the message waits for it")
        reason = trial.status()["filters"][0]["last_error"]
        assert "user = nobody may not read messages: chgrp -R" in reason
        subprocess.run(["sh", "-c", reason.rpartition(": ")[2]], cwd=trial.base, check=True, timeout=10)
        trial.wait(lambda: trial.status()["totals"]["quarantined"] == 1, "it has judged it")
        trial.drop("two", mail("two"))
        trial.wait(lambda: trial.status()["totals"]["quarantined"] == 2, "and the one that came later")
        (pid,) = trial.wait(lambda: trial.status()["filters"][0]["pids"], "its process is known")
        account = Path(f"/proc/{pid}").owner()
        reasons = {json.loads(path.read_text())["reason"] for path in (trial.base / "Quarantine").glob("*.why")}

    assert (account, reasons) == ("nobody", {"judged by nobody"})


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another")
def test_a_helper_with_an_account_that_is_not_ours_to_give(
    trials: Callable[[str], Trial], config: Callable[..., str], mail: Callable[..., bytes]
) -> None:
    """An engine that may not do so says what it would need; the message waits."""
    trial = trials(config(judge=TELLS, filter='user = "nobody"'))
    subprocess.run(
        ["sh", "-c", f"chgrp -R {pwd.getpwnam('nobody').pw_gid} Queue; chmod g+rxs Queue"], cwd=trial.base, check=True, timeout=10
    )
    trial.prefix = ("setpriv", "--bounding-set", "-setuid,-setgid")
    with trial:
        trial.drop("one", mail("one"))
        trial.wait(lambda: trial.status()["filters"][0]["state"] == "failed", "it cannot be started")

        assert "only an engine that runs as root" in trial.status()["filters"][0]["last_error"]
        assert trial.status()["totals"]["enqueued"] == 0
