"""Log and count what rules say about a message of a door. The tag of the log is ENQUEUERRULES."""

import logging

from enqueuer.ipc.ruletallies import TallySlot
from enqueuer.log import serverlog
from enqueuer.policy.rules import Ruling
from filterlink.config.settings import LEVELS

__all__ = ["explains", "report"]

TAG = "ENQUEUERRULES"
log = logging.getLogger(TAG)


def explains() -> bool:
    """Return whether the log has the trail of each message."""
    return log.isEnabledFor(LEVELS["low-level"])


def report(id: int, ruling: Ruling, trail: tuple[str, ...], tally: TallySlot | None) -> None:
    """Log the texts of rules, what rules in shadow would have done, and at low-level the trail. Count the rules that the message met."""
    if tally is not None:
        tally.count(ruling.met)
    for rule, text in (*(each for outcome in ruling.outcomes for each in outcome.texts), *ruling.would):
        serverlog.tell(log, id, f'rule "{rule}": {text}', TAG)
    if explains():
        for line in trail:
            log.info("%s", line, extra=serverlog.message_tag(id, TAG))
