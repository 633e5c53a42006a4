"""The part of a message that walks through the rules for some recipients, with what rules and filters did to it so far. Pure."""

from collections.abc import Sequence

import msgspec

from enqueuer.policy.outcome import Copy, Disposition, Letter, Remembered, RuleOutcome
from enqueuer.queue.message.headerlines import HeaderLines

__all__ = ["Branch"]


class Branch(msgspec.Struct, gc=False):
    """It begins with all recipients. A rule of scope "recipient" that only some of them meet splits it."""

    recipients: tuple[bytes, ...]
    fields: tuple[bytes, ...] = ()
    """Newest first."""
    routes: tuple[bytes, ...] = ()
    copies: tuple[Copy, ...] = ()
    redirected: tuple[bytes, ...] = ()
    module: str = ""
    queue: str = ""
    tags: tuple[str, ...] = ()
    letters: tuple[Letter, ...] = ()
    remembered: tuple[Remembered, ...] = ()
    texts: tuple[tuple[str, str], ...] = ()
    done: tuple[bytes, ...] = ()
    added_to: tuple[bytes, ...] = ()
    """Marks of filters whose ADDROUTE is in `routes`."""
    asked: tuple[str, ...] = ()
    """Filters whose verdict counts already."""
    notes: tuple[str, ...] = ()
    """Filters that could not scan and were skipped: the reason of an enqueued message."""
    added: HeaderLines | None = None

    def split(self, recipients: Sequence[bytes]) -> "Branch":
        """Take these recipients out; return a branch for them, with the same past."""
        taken = frozenset(recipients)
        self.recipients = tuple(each for each in self.recipients if each not in taken)
        return msgspec.structs.replace(self, recipients=tuple(recipients))

    def add_fields(self, fields: tuple[bytes, ...]) -> None:
        if fields:
            self.fields = fields + self.fields
            self.added = HeaderLines(b"", self.fields)

    def ended(self, disposition: Disposition, reason: str = "", rule: str = "", **more: object) -> RuleOutcome:
        """Return the outcome of a branch that an action or a verdict ends: what was done to the message, and the effects if they follow."""
        found: dict[str, object] = {
            "fields": self.fields,
            "recipients": self.recipients,
            "tags": self.tags,
            "texts": self.texts,
        }
        if disposition in (Disposition.DISCARDED, Disposition.ON_HOLD):
            found |= {"copies": self.copies, "letters": self.letters, "remembered": self.remembered, "done": self.done}
        if disposition is Disposition.ON_HOLD:
            found |= {"routes": self.routes, "done": self.done + self.added_to}
        if disposition not in (Disposition.DISCARDED, Disposition.DEFERRED):  # a kept message may be released, and goes on then
            found |= {"redirected": self.redirected, "module": self.module, "queue": self.queue}
        return RuleOutcome(disposition, reason, rule=rule, **(found | more))  # type: ignore[arg-type]

    def passed(self, rule: str = "", *, alone: bool = False) -> RuleOutcome:
        """Return the outcome of a branch that went through all rules, or that `rule` sends on. `alone`: it is the whole message.

        Nearly all messages end here, so nothing is built twice.
        """
        return RuleOutcome(
            Disposition.ENQUEUED,
            "; ".join(self.notes),
            rule=rule,
            fields=self.fields,
            routes=self.routes,
            copies=self.copies,
            recipients=None if alone else self.recipients,
            redirected=self.redirected,
            module=self.module,
            queue=self.queue,
            tags=self.tags,
            letters=self.letters,
            remembered=self.remembered,
            texts=self.texts,
            done=self.done + self.added_to,
        )
