"""What the actions of rules do at a door that asks. Pure.

A door answers an MTA, which keeps the message. So each action must become an answer in the MTA's protocol. If an action cannot, the
check of the configuration refuses it as soon as the file has a door: its rule could apply to the door's mail.
"""

from collections.abc import Iterable, Mapping

from enqueuer.policy.rules import Rule
from enqueuer.policy.vocabulary import ALIASES

__all__ = ["AT_DOORS", "NOT_AT_DOORS", "expect_answers"]

AT_DOORS: Mapping[str, str] = {
    "ExternalFilter": "the filter scans the message; its verdict goes through the verdict table",
    "Discard": "the MTA takes the message and drops it",
    "Stop Processing": "the MTA takes the message, with the fields so far",
    "Reject with": "the MTA refuses the message with 550 5.7.1 and the text, while its client waits",
    "Quarantine": "the MTA puts the message on hold, with the reason",
    "Hold until": "the MTA puts the message on hold, with the time as the reason",
    "Hold for": "the MTA puts the message on hold, with the time as the reason",
    "Add Header": "the MTA adds the fields on top",
    "Tag Subject": "the MTA changes the first Subject field, or adds one",
    "Mirror to": "the MTA adds the recipients",
    "Redirect To": "the MTA deletes its recipients and adds these",
    "Execute": "the program runs; if it fails, on_failure of the rule follows",
    "Remember 'From' in": "the sender is added to the list",
    "Write To Log": "the text goes to the log",
}
"""Action -> what it does."""
NOT_AT_DOORS: Mapping[str, str] = {
    "Forward to": "makes a new message",
    "Reply with": "makes a new message",
    "Route to": "chooses a module queue",
}
"""Action -> why it is refused."""


def expect_answers(rules: Iterable[Rule], doors: Iterable[str]) -> None:
    """Raise ValueError, with the cure, if a rule that is on has an action that these doors cannot carry out."""
    first = next(iter(doors), None)
    if first is None:
        return
    for rule in rules:
        for words in rule.actions if rule.priority else ():
            name = ALIASES.get(words[0], words[0]) if words else ""
            if name in NOT_AT_DOORS:
                raise ValueError(
                    f'rule "{rule.name}": action "{name}" is impossible for mail of door "{first}": it {NOT_AT_DOORS[name]}, and the '
                    f"MTA keeps and delivers the message: remove the action or the door"
                )
