"""Demands on the measuring of latency: each message's own time, on a running engine, and nobody else's file taken for one."""

from pathlib import Path

from bench.harness import config, helper, message
from bench.load import latencies, quantile
from enqueuer.lab.trial import Trial

DELAY = 100


def test_each_message_has_its_own_time(tmp_path: Path) -> None:
    """One message in five is scanned for 100 ms, the others not at all; what else comes into Outbound meanwhile has no time."""
    messages = [b"X-Delay: %d\n" % (DELAY * (n % 5 == 0)) + message(2000) for n in range(20)]
    with Trial(tmp_path / "base", config(8, helper("told:0"))) as trial:
        trial.drop("stranger", message(2000))
        times = latencies(trial, messages, 100)

    assert len(times) == 20
    assert all(time >= DELAY for time in times[::5])
    assert sorted(times)[8] < DELAY


def test_the_quantile_is_a_value_that_was_seen() -> None:
    """The median of ten is the sixth, p99 of ten the last."""
    values = [float(n) for n in range(10)]

    assert quantile(values, 0.5) == 5
    assert quantile(values, 0.99) == 9
