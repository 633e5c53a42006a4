"""Measure whether a parser of hostile bytes takes twice the time for twice the bytes, not four times."""

import gc
import time
from collections.abc import Callable

__all__ = ["is_linear"]

RATIO = 3.0
UNNOTICED = 0.1
"""Seconds that are too short to measure, and do no harm."""


def is_linear(call: Callable[[int], object], size: int = 1 << 20) -> bool:
    """Return whether `call(2 * size)` takes less than three times as long as `call(size)`. The best of some runs counts."""
    for _ in range(4):
        once = _seconds(call, size)
        twice = _seconds(call, 2 * size)
        if twice < max(UNNOTICED, RATIO * once):
            return True
    return False


def _seconds(call: Callable[[int], object], size: int) -> float:
    """Return the processor time of a call without the garbage collector, whose cost depends on the objects of other tests."""
    gc.disable()
    try:
        began = time.process_time()
        call(size)
        return time.process_time() - began
    finally:
        gc.enable()
