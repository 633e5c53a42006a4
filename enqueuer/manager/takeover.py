"""Take over the files on disk: after an engine start with distrust, after the end of another queue manager as they are."""

import logging
import time

from enqueuer.ipc.child import Birth
from enqueuer.ipc.scoreboard import DISPOSITIONS, Scoreboard
from enqueuer.log import serverlog
from enqueuer.manager.blame import Blame
from enqueuer.manager.holds import Holds
from enqueuer.manager.schedule import Entry, Schedule
from enqueuer.queue.message.printable import printable
from enqueuer.queue.port import MessageStore, Recovered

__all__ = ["take_over"]

log = logging.getLogger("QUEUE")


def take_over(store: MessageStore, birth: Birth, schedule: Schedule, blame: Blame, holds: Holds) -> int:
    """Recover, schedule the messages to scan, and set the totals right; return the highest id that any file has."""
    board = birth.board
    cold = not birth.board.recovered
    _take_back(store, board)
    found = store.recover(cold=cold, decided=lambda id, _n, disposition: _decided(board, id, disposition), progress=board.recovering)
    _tell_of_the_gone(store, board, found)
    _tell(found)
    if board.distrusts:
        board.distrust()  # kept from now on: a later sync that succeeds does not bring back what was lost before
    present = _schedule(found, schedule, cold, board.distrusts) + len(found.on_hold)
    holds.restore(found.on_hold)
    for _ in found.broken:
        board.add("bad")
    # exact, whichever process was killed: messages that came in = messages that left + messages that are here
    board.set_total("received", sum(map(board.total, DISPOSITIONS)) - board.total("returned") + present)
    board.recovered = True
    blame.attempts.keep_only(schedule.entries)
    blame.suspect(found.unfinished[: birth.config.enqueuer.most_processors] if cold else birth.suspects)
    return found.highest


def _take_back(store: MessageStore, board: Scoreboard) -> None:
    """Take back the total of a message that was announced and still has its .done, or was being moved. It may be counted or not, and is
    counted again.

    This comes before any other count, which would overwrite its old total.
    """
    if not (id := board.announced):
        return
    if id == board.moving or id in store.decided():
        board.take_back()


def _tell_of_the_gone(store: MessageStore, board: Scoreboard, found: Recovered) -> None:
    """Log the end of messages that were decided and have no file here any more. One that was being moved may not be counted yet."""
    here = {id for id, _ in found.finished}
    for id, disposition in board.untold():
        if id in here or _is_there(store, id):
            continue
        if id == board.moving:
            _decided(board, id, disposition)
        else:
            _say(id, disposition)
    board.moving = 0
    board.told()


def _is_there(store: MessageStore, id: int) -> bool:
    """Return whether a message has a file. One that cannot be read counts as present."""
    try:
        return store.has_message(id)
    except OSError:
        return True


def _schedule(found: Recovered, schedule: Schedule, cold: bool, distrusts: bool) -> int:
    """Offer the messages that were found; return how many of them count as received already. `distrusts`: a sync failed before."""
    now = time.monotonic()
    present = 0
    for offer in found.offers:
        counted = offer.ingested and (not cold or offer.durable)
        present += counted
        ingested = offer.ingested and (offer.durable or not distrusts)
        schedule.add(Entry(offer.id, offer.ref, offer.size, now, durable=offer.durable, ingested=ingested, counted=counted))
    return present


def _tell(found: Recovered) -> None:
    for name in found.foreign:
        log.warning("%s is not a file of Enqueuer: it is left where it is", printable(name.encode("utf-8", "surrogateescape")))
    if found.offers or found.finished or found.broken:
        counts = f"{len(found.offers)} to be scanned, {len(found.finished)} finished, {len(found.broken)} set aside as broken"
        log.log(serverlog.MAJOR, "found in the queue: %s", counts)


def _decided(board: Scoreboard, id: int, disposition: str) -> None:
    """Count a message whose outcome the recovery carried out, once, and write its line in the log. One on hold has not ended."""
    disposition = board.decided(id) or disposition
    if disposition in DISPOSITIONS:
        board.announce(id, disposition)
        board.add(disposition)
    _say(id, disposition)


def _say(id: int, disposition: str) -> None:
    log.log(serverlog.MAJOR, "%s: decided before a restart", disposition.replace("_", " "), extra=serverlog.message_tag(id))
