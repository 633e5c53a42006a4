"""How long messages wait at a load: M/M/c, Erlang's C. Pure.

Arrivals are random, and scan times spread as exponential ones do; where scans all take the same, the true wait is about half.
"""

import math

import msgspec

__all__ = ["Expected", "erlang_c", "expect"]


class Expected(msgspec.Struct, frozen=True):
    """What to expect at one load; seconds, infinity where more comes than can be done."""

    load: float
    """Messages/s that arrive."""
    wait: float
    """The mean time until a message is begun."""
    whole: float
    """The mean time until it is out."""


def erlang_c(servers: int, offered: float) -> float:
    """The part of those that come who have to wait; `offered` is load / what one server does, below `servers`."""
    blocked = 1.0
    for count in range(1, servers + 1):
        blocked = offered * blocked / (count + offered * blocked)
    return blocked / (1 - offered / servers * (1 - blocked))


def expect(load: float, servers: int, capacity: float, beside: float = 0.0) -> Expected:
    """The expected wait where `servers` together do `capacity` messages/s, and each spends `beside` seconds elsewhere."""
    if load >= capacity:
        return Expected(load, math.inf, math.inf)
    each = servers / capacity
    wait = erlang_c(servers, load * each) / (capacity - load)
    return Expected(load, wait, wait + each + beside)
