from pathlib import Path

import pytest

from enqueuer.tune.advice import advise
from enqueuer.tune.png import can_plot, plot
from enqueuer.tune.verdict import Cpu, TuneStep

STEPS = [
    TuneStep(
        processors=n, rate=50.0 * n, spread=0.01, busy=n, scanning=0, parked=0, piled_up=0, scans=(), cpu=Cpu(cores=2, busy=0.5), disk=0.1
    )
    for n in (1, 2, 4)
]


@pytest.mark.skipif(not can_plot(), reason="matplotlib is an extra: pip install 'enqueuer[plot]'")
def test_a_picture_is_drawn(tmp_path: Path) -> None:
    """With whatever name, as PNG."""
    plot(advise(STEPS), STEPS, STEPS[2:], tmp_path / "x")

    assert (tmp_path / "x").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
