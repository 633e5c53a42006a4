"""Change the settings of filters while they work: the new helper starts beside the old one, which scans until the new one is ready.

This module decides which filter object scans, which comes and which leaves. The gate of each filter handles its requests.
"""

from collections.abc import Callable, Iterator, Sequence

import msgspec

from filterlink.config.settings import Filter
from filterlink.config.units import show_seconds
from filterlink.external import ExternalFilter
from filterlink.wire.frames import FilterState

__all__ = ["Rollover"]

READY = "the new helper is ready and gets all from now on"


class Rollover:
    """The filters by name. `make` makes a filter, with the request numbers of its predecessor, if any. `renewed` is called with the name
    of each filter that scans by new settings from now on.

    At most two objects of one filter run: the one that scans and the one that comes, or the one that leaves and the one that scans.
    """

    def __init__(self, make: Callable[[Filter, Iterator[int] | None], ExternalFilter], renewed: Callable[[str], None]) -> None:
        self.judging: dict[str, ExternalFilter] = {}
        self._coming: dict[str, ExternalFilter] = {}
        """Their helpers are being started; they get no request yet."""
        self._leaving: list[ExternalFilter] = []
        """They answer their open requests, or are being stopped."""
        self._make = make
        self._renewed = renewed

    @property
    def all(self) -> list[ExternalFilter]:
        return [*self.judging.values(), *self._coming.values(), *self._leaving]

    @property
    def going_on(self) -> bool:
        """Return whether a filter comes or leaves: then look() must be called again."""
        return bool(self._coming or self._leaving)

    @property
    def done(self) -> bool:
        """Return whether every filter scans by its newest settings."""
        return not self._coming

    def configure(self, now: float, filters: Sequence[Filter]) -> None:
        """Take new settings. Only a filter whose settings differ is touched."""
        wanted = {settings.name: settings for settings in filters}
        for name, old in list(self.judging.items()):
            self._change(name, old, wanted.pop(name, None))
        for name, settings in wanted.items():
            self.judging[name] = self._make(settings, None)
        self.judging = {settings.name: self.judging[settings.name] for settings in filters}
        self.look(now)

    def look(self, now: float) -> None:
        """Stop the filters that leave, start those that may run, and hand over to those that are ready."""
        for old in self._leaving:
            if old.drained:
                old.evict()  # messages parked meanwhile, because its helper died once more
                old.stop()
        self._leaving = [old for old in self._leaving if not old.over]
        self._start()
        for name, new in list(self._coming.items()):
            self._consider(now, name, self.judging[name], new)

    def states(self) -> list[FilterState]:
        """Return the states of the filters. For a filter that changes: the state of the one that scans, and the errors of the new one."""
        return [self._state(name, each.state()) for name, each in self.judging.items()]

    def _state(self, name: str, state: FilterState) -> FilterState:
        if (new := self._coming.get(name)) is None:
            return state
        theirs = new.state()
        word = theirs.state if theirs.state == "failed" else state.state
        failed = theirs if theirs.last_error else state
        pids = state.pids + theirs.pids
        return msgspec.structs.replace(state, state=word, pids=pids, last_error=failed.last_error, last_error_at=failed.last_error_at)

    def _change(self, name: str, old: ExternalFilter, new: Filter | None) -> None:
        """Begin the change of one filter to new settings; None: the filter was removed."""
        coming = self._coming.get(name)
        if new == (coming or old).settings:
            return
        if coming is not None:
            self._dismiss(self._coming.pop(name))
        if new == old.settings:
            old.say("the settings are the old ones again: the helper stays")
        elif new is not None and new.enabled and old.settings.enabled:
            self._coming[name] = self._make(new, old.numbers)
            old.say("new settings: a new helper is started, this one scans until that is ready")
        else:
            old.evict()
            self._leaving.append(self.judging.pop(name))
            if new is not None:
                self.judging[name] = self._make(new, old.numbers)

    def _start(self) -> None:
        """Start the filters that must run. One whose predecessor still leaves waits, so that there are never three."""
        busy = {old.settings.name for old in self._leaving}
        for each in [*self.judging.values(), *self._coming.values()]:
            if not each.started and each.settings.name not in busy:
                each.start()

    def _consider(self, now: float, name: str, old: ExternalFilter, new: ExternalFilter) -> None:
        """Hand over to the new filter if it is time for that."""
        if new.is_whole:
            self._hand_over(name, new, READY)
        elif new.ended_early:
            self._dismiss(new)
            self._hand_over(
                name, self._make(new.settings, old.numbers), f"the new helper {new.reason}; it is started again when it is alone"
            )
        elif new.is_late(now):
            waited = f"is ready after {show_seconds(new.settings.timeout)}" if now >= new.due else "is started again"
            self._hand_over(name, new, f"no new helper {waited} ({new.reason}); messages now wait for a helper with the new settings")
        elif not old.is_of_use(now):
            self._hand_over(name, new, "the old helper does not answer")

    def _hand_over(self, name: str, new: ExternalFilter, why: str) -> None:
        """Send all requests to the new filter from now on. The old one answers its open requests and leaves."""
        self._coming.pop(name)
        old = self.judging[name]
        self.judging[name] = new
        new.say(f"the new settings are active: {why}")
        if not old.started:
            old.evict()
        self._leaving.append(old)
        new.inherit(old)
        self._renewed(name)

    def _dismiss(self, each: ExternalFilter) -> None:
        """Stop a filter that never got a request."""
        each.stop()
        self._leaving.append(each)
