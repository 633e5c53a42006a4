"""Put a message on hold because an administrator wants it: it is ingested, and no rule is tried."""

import time

from enqueuer.ipc import frames
from enqueuer.policy import rules
from enqueuer.processor.reasons import facts_of, why
from enqueuer.queue.directory import ingest, stage
from enqueuer.queue.directory.disk import DiskPort

__all__ = ["put_on_hold"]


def put_on_hold(disk: DiskPort, job: frames.Job, message: ingest.MessageFile) -> frames.Outcome:
    """Stage the message for Hold, with the reason of the job."""
    result = rules.RuleOutcome(rules.Disposition.ON_HOLD, job.hold)
    reason = why(job, message, result, time.time()) | {"until": job.hold_until}
    stage.stage_why(disk, job.id, job.n, "hold", reason)
    stage.stage_file(disk, message, job.n, "hold", None, ())
    places = "hold", "hold-why"
    about = facts_of(message, {})
    return frames.Outcome(job.id, job.n, "on_hold", places, job.hold, message.stamp, facts=about, until=job.hold_until)
