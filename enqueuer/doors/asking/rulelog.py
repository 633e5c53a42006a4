"""Log what rules say about a message of a door, with the tag ENQUEUERRULES."""

import logging

from enqueuer.log import serverlog
from enqueuer.policy.rules import Ruling
from filterlink.config.settings import LEVELS

__all__ = ["explains", "report"]

TAG = "ENQUEUERRULES"
log = logging.getLogger(TAG)


def explains() -> bool:
    """Return whether the log has the trail of each message."""
    return log.isEnabledFor(LEVELS["low-level"])


def report(id: int, ruling: Ruling, trail: tuple[str, ...]) -> None:
    """Log the texts of rules, what rules in shadow would have done, and at low-level the trail."""
    for rule, text in (*(each for outcome in ruling.outcomes for each in outcome.texts), *ruling.would):
        serverlog.tell(log, id, f'rule "{rule}": {text}', TAG)
    if explains():
        for line in trail:
            log.info("%s", line, extra=serverlog.message_tag(id, TAG))
