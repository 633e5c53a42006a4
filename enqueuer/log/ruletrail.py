"""Log what rules say about a message. The tag is ENQUEUERRULES([id])."""

import logging
from collections.abc import Callable, Sequence

from enqueuer.log import serverlog
from enqueuer.policy.rules import Disposition, Ruling
from filterlink.config.settings import LEVELS

__all__ = ["explains", "report"]

TAG = "ENQUEUERRULES"
log = logging.getLogger(TAG)


def explains() -> bool:
    """Return whether the log has the trail of each message."""
    return log.isEnabledFor(LEVELS["low-level"])


def report(id: int, ruling: Ruling, trail: Callable[[], Sequence[str]]) -> None:
    """Log the texts of rules, what rules in shadow would have done, and at low-level how all of them decided."""
    carried_out = (each for each in ruling.outcomes if each.disposition is not Disposition.DEFERRED)
    for rule, text in (*(text for outcome in carried_out for text in outcome.texts), *ruling.would):
        serverlog.tell(log, id, f'rule "{rule}": {text}', TAG)
    if explains():
        for line in trail():
            log.log(LEVELS["low-level"], "%s", line, extra=serverlog.message_tag(id, TAG))
