"""The states of a message between claim and commit, and the events that each state allows. Pure.

`TRANSITIONS` has all of them: {state: {event: next state}}. DESIGN.md shows the same table, and a test compares both.
"""

from typing import Literal

__all__ = ["COUNTED", "TRANSITIONS", "Event", "IllegalEvent", "State", "after"]

State = Literal["new", "waiting", "active", "settling", "parked", "deferred", "gone"]
Event = Literal["add", "suspect", "dispatch", "park", "defer", "wait", "settle", "remove"]

COUNTED: tuple[State, ...] = ("waiting", "active", "settling", "parked", "deferred")
"""The states of messages that the schedule has."""

TRANSITIONS: dict[State, dict[Event, State]] = {
    "new": {"add": "waiting"},
    "waiting": {"suspect": "waiting", "dispatch": "active", "defer": "deferred", "settle": "settling", "remove": "gone"},
    "active": {"park": "parked", "defer": "deferred", "wait": "waiting", "settle": "settling", "remove": "gone"},
    "settling": {"defer": "deferred", "remove": "gone"},
    "parked": {"defer": "deferred", "wait": "waiting", "settle": "settling", "remove": "gone"},
    "deferred": {"defer": "deferred", "wait": "waiting", "settle": "settling", "remove": "gone"},
    "gone": {},
}


class IllegalEvent(Exception):
    """An event that the state of a message does not allow: a fault of the engine, which ends the queue manager.

    It is neither a ValueError nor an OSError: the queue manager catches these for faulty files of others.
    """


def after(state: State, event: Event, id: int) -> State:
    """Return the state that follows. Raises IllegalEvent."""
    try:
        return TRANSITIONS[state][event]
    except KeyError:
        raise IllegalEvent(f"message {id} is {state}: the event {event} is not allowed in this state") from None
