"""What the actions of rules do at a door that asks. Pure.

A door answers an MTA, which keeps the message. So each action must become an answer in the MTA's protocol. If an action cannot, the
check of the configuration refuses it as soon as the file has a door: its rule could apply to the door's mail.
"""

from collections.abc import Iterable, Mapping

from enqueuer.policy.rules import Rule

__all__ = ["AT_DOORS", "expect_answers"]

AT_DOORS: Mapping[str, str] = {
    "ExternalFilter": "the filter scans the message; its verdict goes through the verdict table",
    "Discard": "the MTA takes the message and drops it",
    "Stop Processing": "the MTA takes the message, with the fields so far",
}
"""Action -> what it does. All other actions are refused."""


def expect_answers(rules: Iterable[Rule], doors: Iterable[str]) -> None:
    """Raise ValueError, with the cure, if a rule that is on has an action that these doors cannot carry out."""
    first = next(iter(doors), None)
    if first is None:
        return
    for rule in rules:
        for words in rule.actions if rule.priority else ():
            if words and words[0] not in AT_DOORS:
                raise ValueError(
                    f'rule "{rule.name}": action "{words[0]}" is impossible for mail of door "{first}", which the MTA keeps: '
                    f"remove the action or the door"
                )
