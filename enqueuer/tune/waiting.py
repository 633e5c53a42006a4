"""Predict how long messages wait at a load: M/M/c, Erlang's C. Pure.

Arrivals are random, and scan times are exponential. If all scans take the same time, the true wait is about half.
"""

import math

import msgspec

__all__ = ["Expected", "erlang_c", "expect"]


class Expected(msgspec.Struct, frozen=True):
    """The expectation at one load; seconds, or infinity if the load exceeds the capacity."""

    load: float
    """Messages/s that arrive."""
    wait: float
    """The mean time until its scan begins."""
    whole: float
    """The mean time until the message is out."""


def erlang_c(servers: int, offered: float) -> float:
    """Return the part of the arrivals that have to wait. `offered`: load / what one server does, below `servers`."""
    blocked = 1.0
    for count in range(1, servers + 1):
        blocked = offered * blocked / (count + offered * blocked)
    return blocked / (1 - offered / servers * (1 - blocked))


def expect(load: float, servers: int, capacity: float, beside: float = 0.0) -> Expected:
    """Return the expected wait if `servers` together do `capacity` messages/s, and each message spends `beside` seconds elsewhere."""
    if load >= capacity:
        return Expected(load, math.inf, math.inf)
    each = servers / capacity
    wait = erlang_c(servers, load * each) / (capacity - load)
    return Expected(load, wait, wait + each + beside)
