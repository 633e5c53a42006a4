"""Describe what happened to a message: its verdicts for the next dispatch, its reason for .why, its facts for the log."""

from collections.abc import Mapping, Sequence

from enqueuer.ipc import frames
from enqueuer.log import facts
from enqueuer.policy import rules
from enqueuer.queue.directory.ingest import MessageFile
from enqueuer.queue.message.envelope import Envelope
from enqueuer.queue.message.timestamps import rfc3339
from filterlink.wire.frames import MAX_TEXT, FilterAnswer, VerdictFrame

__all__ = ["facts_of", "fitting", "why"]

NONE = facts.Verdicts({}, {})
MAX_TRAIL = 300
"""Lines of a trail that a .why has."""


def fitting(job: frames.Job, verdicts: facts.Verdicts) -> tuple[VerdictFrame, ...]:
    """Return the verdicts that fit into a frame with a message that waits. The filters are asked again for the others."""
    kept = []
    room = MAX_TEXT
    for filter, answer in verdicts.answers.items():
        room -= answer.size + 3 * len(answer.text)
        if room < 0:
            break
        kept.append(VerdictFrame(job.id, job.n, filter, answer, verdicts.seconds.get(filter, 0.0)))
    return tuple(kept)


def facts_of(message: MessageFile, answers: Mapping[str, FilterAnswer], *, stopped: bool = True) -> tuple[str, str]:
    """Return the facts of a message for its last line in the log. `stopped`: with its subject."""
    return facts.before(message.envelope, message.header), facts.after(answers, message.header if stopped else None)


def why(
    job: frames.Job,
    message: MessageFile,
    result: rules.RuleOutcome,
    now: float,
    verdicts: facts.Verdicts = NONE,
    *,
    envelope: Envelope | None = None,
    trail: Sequence[str] = (),
) -> dict[str, object]:
    """Return the content of a .why. `envelope`: that of the kept file, which may have only some of the recipients."""
    return {
        "id": job.id,
        "fate": str(result.disposition),
        "reason": result.reason,
        "filter": result.filter or None,
        "rule": result.rule or None,
        "action": list(result.action),
        "attempts": 0,
        "time": rfc3339(now),
        **facts.document(envelope or message.envelope, message.header, verdicts, now - message.stamp[0] / 1e9),
        "log": [f"{filter}: {answer.kind.upper()} {answer.text}".strip() for filter, answer in verdicts.answers.items()],
        "trail": list(trail[:MAX_TRAIL]),
    }
