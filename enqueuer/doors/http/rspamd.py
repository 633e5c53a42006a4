"""Speak rspamd's protocols: HTTP for Haraka's plugin and rspamc, the older text protocol for Exim. Pure.

Exim sends `CHECK RSPAMC/1.3` and header fields as in HTTP. So its first line is rewritten, and the HTTP parser reads the rest.
Each answer without a decision also says "soft reject", because Haraka reads the action and not the status.
"""

import msgspec

from enqueuer.doors.asking.decision import Action, DoorDecision
from enqueuer.doors.asking.mail import AskedMail
from enqueuer.doors.http import answers
from enqueuer.doors.http.request import HttpHead, RefusedRequest, queue_id, recipients, sender
from enqueuer.queue.message import client

__all__ = ["TEXT_BEGIN", "asked_mail", "document", "http_head", "text", "text_failure", "undecided"]

TEXT_BEGIN = b"CHECK RSPAMC/"
MAX_TEXT = 30_000
"""Bytes of a text answer: Exim reads 32,599."""
REQUIRED = 15.0
"""The least score of spam, for clients that read the score. A message has either 0 or this score."""
ACTIONS: dict[Action, str] = {
    "accept": "no action",
    "reject": "reject",
    "tempfail": "soft reject",
    "discard": "discard",
    "quarantine": "quarantine",
}
"""rspamd's words."""
SCORES = dict.fromkeys(ACTIONS, REQUIRED) | {"accept": 0.0, "tempfail": 0.0}
REFUSED = (b"file", b"path", b"shm", b"shm-offset", b"shm-length", b"settings", b"settings-id", b"key")
"""Fields of rspamd's protocol that name files or settings, or encrypt the message."""


def http_head(line: bytes) -> bytes:
    """Return the HTTP request line for a line that begins with TEXT_BEGIN."""
    return b"POST /check HTTP/1.0" + line[len(line.rstrip(b"\r\n")) :]


def asked_mail(head: HttpHead, *, trusted: bool) -> AskedMail:
    """Read the envelope, and the client if the peer is trusted. Raises RefusedRequest."""
    for name in REFUSED:
        if head.all(name):
            raise RefusedRequest(400, f"{name.decode().title()} is not supported: send the message in the body, without settings")
    return AskedMail(
        sender=sender(head.first(b"from")),
        recipients=recipients(head.all(b"rcpt") or head.all(b"deliver-to")),
        client=_client(head) if trusted else client.NOBODY,
        queue_id=queue_id(head.first(b"queue-id")),
    )


def _client(head: HttpHead) -> client.RemoteClient:
    """Return the client by the MTA's facts. A malformed value counts as unknown: it must not stop the mail."""
    facts = {"address": head.first(b"ip"), "name": head.first(b"hostname"), "helo": head.first(b"helo"), "account": head.first(b"user")}
    for doubtful in ("account", "address"):
        try:
            return client.given(**facts)
        except client.ClientError:
            facts[doubtful] = b""
    return client.given(**facts)


def _possible(decision: DoorDecision) -> DoorDecision:
    """Return the decision, or one that defers: the protocol cannot say that a message goes to other recipients."""
    if decision.action != "accept" or not decision.removed:
        return decision
    text = f"a rule gives the message other recipients, which this protocol cannot say (id {decision.id})"
    return msgspec.structs.replace(decision, action="tempfail", disposition="deferred", text=text, fields=(), changes=())


def document(decision: DoorDecision, message_id: str) -> bytes:
    """Return the answer to /checkv2."""
    decision = _possible(decision)
    added: dict[str, list[dict[str, object]]] = {}
    for order, (name, value) in enumerate(answers.field_pairs(decision.fields)):
        added.setdefault(name, []).append({"value": value, "order": order})
    found: dict[str, object] = {
        "is_skipped": False,
        "score": SCORES[decision.action],
        "required_score": REQUIRED,
        "action": ACTIONS[decision.action],
        "symbols": {name: _symbol(decision, name) for name in decision.verdicts.answers},
        "messages": {"smtp_message": said} if (said := _line(decision.text)) else {},
        "message-id": message_id or "undef",
        "queue-id": str(decision.id),
    }
    changes = [(answers.clean(name), answers.clean(value)) for name, value in decision.changes]
    for name, value in changes:
        added.setdefault(name, []).append({"value": value, "order": len(decision.fields)})
    if added:
        removed = {"remove_headers": {name: 1 for name, _ in changes}} if changes else {}
        found["milter"] = {"add_headers": {name: values[0] if len(values) == 1 else values for name, values in added.items()}} | removed
    return answers.encode(found)


def _symbol(decision: DoorDecision, name: str) -> dict[str, object]:
    answer = decision.verdicts.answers[name]
    score = _score(decision, name)
    return {"name": name, "score": score, "metric_score": score, "description": f"{answer.kind.upper()} {_line(answer.text)}".strip()}


def _score(decision: DoorDecision, name: str) -> float:
    """Return the whole score for the last filter, whose answer decided; 0 for all others."""
    return SCORES[decision.action] if name == next(reversed(decision.verdicts.answers)) else 0.0


def undecided(text: str) -> bytes:
    """Return the answer to a request without a decision."""
    return answers.refused(text, action="soft reject", score=0.0, required_score=REQUIRED, symbols={}, messages={"smtp_message": text})


def text(decision: DoorDecision, message_id: str) -> bytes:
    """Return the answer in the text protocol. Exim reads the score and the action. $spam_report has the whole text.

    The fields come in the order in which they are put on top of the header, one after another.
    """
    decision = _possible(decision)
    score = SCORES[decision.action]
    lines = [
        "RSPAMD/1.3 0 EX_OK",
        f"Metric: default; {score >= REQUIRED}; {score:.2f} / {REQUIRED:.2f} / {REQUIRED:.2f}",
        f"Action: {ACTIONS[decision.action]}",
        *([f"Message: {said}"] if (said := _line(decision.text)) else []),
        f"Message-ID: {message_id or 'undef'}",
        *(f"Symbol: {_line(name)}({_score(decision, name):.2f})" for name in decision.verdicts.answers),
        *(f"X-Milter-Add: {name}: {_line(value)}" for name, value in reversed(answers.field_pairs(decision.fields))),
    ]
    while len(found := "".join(f"{line}\r\n" for line in lines).encode("utf-8", "replace")) > MAX_TEXT:
        del lines[-1]
    return found


def text_failure(reason: str) -> bytes:
    """Return an answer without a decision. Exim finds no score in it, and defers the message."""
    return f"RSPAMD/1.3 75 {_line(reason)}\r\n".encode()


def _line(text: str) -> str:
    return " ".join("".join(char if char.isprintable() else " " for char in answers.clean(text)).split())
