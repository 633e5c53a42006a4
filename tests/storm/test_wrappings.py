"""Run the storm of wrappings: compare the shipped filter with all other installed programs on messages that are wrapped at random.

ENQUEUER_SEED replays a batch. ENQUEUER_WRAPPING_SECONDS is the duration. The first message that passes is made small and kept.
"""

import os
import random
import tempfile
from pathlib import Path

import pytest

from tests.helpers.wrappings.composer import passing

TOTAL = 600.0


@pytest.mark.storm
@pytest.mark.server
def test_what_another_program_opens_is_caught_however_it_is_wrapped() -> None:
    seed = int(os.environ.get("ENQUEUER_SEED", random.randrange(1 << 32)))
    passed = next(passing(float(os.environ.get("ENQUEUER_WRAPPING_SECONDS", TOTAL)), seed), None)
    if passed:
        path = Path(tempfile.gettempdir(), f"enqueuer-wrapping-{passed.seed}.eml")
        path.write_bytes(passed.message)
        pytest.fail(f"{', '.join(passed.chains)} open the payload of {path} (ENQUEUER_SEED={passed.seed}), and the filter lets it pass")
