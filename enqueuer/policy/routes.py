"""Choose the module queue of a recipient: the [[routes]] of the config file. Pure.

The first route whose pattern matches the whole address wins. The last one takes all, so every recipient has a route.
"""

from collections.abc import Sequence

import msgspec

from enqueuer.policy.pictures import Matcher, fold, one
from enqueuer.queue.directory.names import is_module
from enqueuer.queue.message.headerlines import text_of

__all__ = ["Route", "Routes", "compile"]


class Route(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One [[routes]] table."""

    recipient: str
    """An address; `*` matches any text, and case does not matter."""
    to: str
    """The module: its queue is the folder of that name in Outbound/."""


class Routes:
    """The compiled routes."""

    def __init__(self, table: Sequence[tuple[Matcher, str]]) -> None:
        self._table = tuple(table)
        self.modules = tuple(dict.fromkeys(module for _, module in self._table))
        """Each module once, in the order of the file."""

    def module_of(self, recipient: bytes) -> str:
        """Return the module of `recipient`: that of the first matching route."""
        address = fold(text_of(recipient))
        return next(module for fits, module in self._table if fits(address))


def compile(routes: Sequence[Route]) -> Routes:
    """Compile the table. Raises ValueError with the cure if a route has no module, or the last does not take all."""
    if not routes or routes[-1].recipient != "*":
        raise ValueError('routes: the last route must take all: add recipient = "*" with the module for everything else')
    return Routes([(one(route.recipient), _module(index, route.to)) for index, route in enumerate(routes)])


def _module(index: int, to: str) -> str:
    if is_module(to):
        return to
    if "(" in to:
        raise ValueError(f'routes[{index}].to = "{to}": MODULE(queue)address is not supported yet: write the module alone, e.g. "OUT"')
    raise ValueError(f'routes[{index}].to = "{to}" is not a module: write capital letters, digits, - and _, at most 32, e.g. "OUT"')
