"""Whether a reader of hostile bytes takes twice the time for twice as much, not four times."""

import gc
import time
from collections.abc import Callable

__all__ = ["is_linear"]

RATIO = 3.0
UNNOTICED = 0.1
"""Seconds that are too short to be measured, and to harm."""


def is_linear(call: Callable[[int], object], size: int = 1 << 20) -> bool:
    """Whether `call(2 * size)` takes less than three times as long as `call(size)`; the best of some runs counts."""
    for _ in range(4):
        once = _seconds(call, size)
        twice = _seconds(call, 2 * size)
        if twice < max(UNNOTICED, RATIO * once):
            return True
    return False


def _seconds(call: Callable[[int], object], size: int) -> float:
    """Without the garbage collector: what it costs depends on all that the other tests have left in this process."""
    gc.disable()
    try:
        began = time.process_time()
        call(size)
        return time.process_time() - began
    finally:
        gc.enable()
