"""What the actions of rules do at a door that only asks. Pure.

A door answers an MTA, which keeps the message. So an action must end in an answer of the MTA's protocol. An action that cannot is
refused by the check of the configuration as soon as there is a door: its rule could meet the door's mail.
"""

from collections.abc import Iterable, Mapping

from enqueuer.policy.rules import Rule

__all__ = ["AT_DOORS", "expect_answers"]

AT_DOORS: Mapping[str, str] = {
    "ExternalFilter": "the filter scans the message; its verdict goes through the verdict table",
    "Discard": "the MTA takes the message and drops it",
    "Stop Processing": "the MTA takes the message, with the fields so far",
}
"""Action -> what it does. An action that is not here is refused."""


def expect_answers(rules: Iterable[Rule], doors: Iterable[str]) -> None:
    """Raise ValueError, with the cure, if a rule that is on has an action which these doors cannot carry out."""
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
