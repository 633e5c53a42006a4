"""What a rule sees of a message: its facts, what was added to it so far, and some recipients. Pure.

A fact that a worker has to find out raises AnswerNeeded; the walk then asks the worker and begins again.
"""

from collections.abc import Mapping, Sequence

import msgspec

from enqueuer.policy.facts import Facts, folded_lines, folded_values
from enqueuer.queue.message.headerlines import HeaderLines, text_of
from filterlink.protocol.partfacts import FACTS, PartFacts, of_answer
from filterlink.wire.frames import FilterAnswer

__all__ = ["AnswerNeeded", "FactsMissing", "View"]


class AnswerNeeded(Exception):
    """A filter has to be asked first."""

    def __init__(self, filter: str) -> None:
        super().__init__(filter)
        self.filter = filter


class FactsMissing(Exception):
    """The worker could not find out the facts. `answer` has the reason."""

    def __init__(self, answer: FilterAnswer) -> None:
        super().__init__(answer.text)
        self.answer = answer


class View(msgspec.Struct, gc=False):
    """What a rule sees."""

    facts: Facts
    answers: Mapping[str, FilterAnswer]
    recipients: Sequence[bytes]
    """All of the message, or one at a time if the scope of the rule is "recipient"."""
    added: HeaderLines | None = None
    """The fields that filters and earlier rules added; None = none."""
    module: str = ""
    """Module and queue of an earlier Route to, as `MODULE(queue)`; "" = those of [[routes]]."""
    asked: Sequence[str] = ()
    """Filters that earlier rules asked."""
    known: dict[object, bool] = {}
    """Parts of a condition that are the same for each recipient."""

    def parts(self) -> PartFacts:
        """Return what the worker found. Raises AnswerNeeded and FactsMissing."""
        answer = self.answers.get(FACTS)
        if answer is None:
            raise AnswerNeeded(FACTS)
        found = of_answer(answer)
        if found is None:
            raise FactsMissing(answer)
        return found

    def values(self, name: str) -> Sequence[str]:
        """Return the folded values of all fields of this name (lower case), added ones first."""
        values = self.facts.values(name)
        return values if self.added is None else [*folded_values(self.added, name), *values]

    def whole_lines(self) -> Sequence[str]:
        """Return `name: value` of all fields, folded, added ones first."""
        lines = self.facts.whole_lines
        return lines if self.added is None else [*folded_lines(self.added), *lines]

    def routes(self) -> list[str]:
        """Return `MODULE(queue)address` of each recipient. The queue is the domain, if no rule names another one."""
        found = []
        for recipient in self.recipients:
            address = text_of(recipient)
            module = self.module or self.facts.module_of(recipient)
            queue = "" if "(" in module else f"({address.rpartition('@')[2]})"
            found.append(f"{module}{queue}{address}")
        return found
