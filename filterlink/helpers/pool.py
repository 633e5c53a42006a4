"""Keep the helper processes of one filter: start them, and replace them one by one when they are old. The gate gives them requests.

Each of the filter's `instances` has two places, i and i + instances. A helper that has had max_requests or is max_age old
works on until another is ready in the twin place. Then it gets no more requests, answers its open ones, and leaves.
"""

from collections.abc import Callable

from filterlink.config.settings import Filter
from filterlink.dispatch.mux import Gate
from filterlink.helpers.runner import HelperRunner

__all__ = ["HelperPool"]


class HelperPool:
    """The runners by place. `make(place)` makes a runner, which starts a helper by itself. Its owner forwards its reports to this pool."""

    def __init__(self, settings: Filter, make: Callable[[int], HelperRunner]) -> None:
        self.runners: dict[int, HelperRunner] = {}
        self._settings = settings
        self._make = make
        self._sent: dict[int, int] = {}
        self._ready: dict[int, float] = {}
        """The time since which the helper in a place is ready."""
        self._retiring: set[int] = set()
        self._over: set[int] = set()
        self._restarts = 0

    def start(self) -> None:
        for place in range(self._settings.instances):
            self._hire(place)

    def stop(self) -> None:
        for runner in self.runners.values():
            runner.stop()

    @property
    def over(self) -> bool:
        """Return whether no helper runs and none will be started."""
        return self._over >= self.runners.keys()

    @property
    def restarts(self) -> int:
        return self._restarts + sum(max(0, runner.life.starts - 1) for runner in self.runners.values())

    def send(self, place: int, number: int, message: int, asked: bool) -> None:
        self.runners[place].send(number, message, asked)
        if self._settings.max_requests:
            self._sent[place] += 1
            if self._sent[place] == self._settings.max_requests:
                self._replace(place)

    def take_back(self, place: int, number: int) -> bool:
        """Take back a line that is not yet in the helper's pipe. It counts as sent for max_requests."""
        return self.runners[place].take_back(number)

    def restart(self, place: int, reason: str) -> None:
        """Restart a helper that let a request wait too long, or stop it if it is retiring."""
        if place in self._retiring:
            self.runners[place].stop()
        else:
            self.runners[place].restart(reason)

    def ready(self, now: float, place: int, gate: Gate) -> None:
        """Note that a helper is ready: the helper that it replaces gets no more requests."""
        self._ready[place] = now
        self._sent[place] = 0
        gate.ready(now, place)
        if (twin := self._twin(place)) in self.runners and place not in self._retiring:
            self._retiring.add(twin)
            gate.retire(now, twin)
            self.see_off(now, gate)

    def leaving(self, place: int) -> None:
        self._ready.pop(place, None)

    def gone(self, place: int, over: bool) -> None:
        """Note that a helper has ended. A retiring one is not started again."""
        if over and place in self._retiring:
            runner = self.runners.pop(place)
            self._restarts += max(0, runner.life.starts - 1)
            self._retiring.discard(place)
        elif over:
            self._over.add(place)
        elif place in self._retiring:
            self.runners[place].stop()

    def see_off(self, now: float, gate: Gate) -> None:
        """Stop the retiring helpers that have answered all, and replace those that are too old."""
        for place in list(self._retiring):
            if not gate.units[place].open:
                self.runners[place].stop()
        oldest = now - self._settings.max_age
        for place in [place for place, since in self._ready.items() if since <= oldest]:
            self._replace(place)

    def _replace(self, place: int) -> None:
        twin = self._twin(place)
        if twin not in self.runners and place not in self._retiring:
            self._hire(twin)

    def _hire(self, place: int) -> None:
        self._sent[place] = 0
        self.runners[place] = self._make(place)

    def _twin(self, place: int) -> int:
        return (place + self._settings.instances) % (2 * self._settings.instances)
