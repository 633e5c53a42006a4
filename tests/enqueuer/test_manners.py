"""Helpers with the manners of real ones, in a running engine: no message is lost, doubled or left behind."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from enqueuer.queue import envelope
from enqueuer.trial import Trial

PLAY = Path(__file__).parent.parent / "filterlink/helpers/play.pl"


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
