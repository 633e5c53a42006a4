"""The OpenAPI document of the HTTP door, written by hand. A test compares it with the routes and with real answers. Pure."""

from typing import Any

__all__ = ["DOCUMENT"]

TEXT = {"type": "string"}
TEXTS = {"type": "array", "items": TEXT}
PAIR = {"type": "array", "items": TEXT, "minItems": 2, "maxItems": 2}
NUMBER = {"type": "number"}


def _object(required: dict[str, Any], optional: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"type": "object", "required": list(required), "properties": required | (optional or {})}


def _answer(text: str, schema: Any, kind: str = "application/json") -> dict[str, Any]:
    return {"description": text, "content": {kind: {"schema": schema}}}


def _parameter(place: str, name: str, text: str, *, many: bool = False) -> dict[str, Any]:
    return {"name": name, "in": place, "description": text, "schema": TEXTS if many else TEXT}


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


FACTS = {
    "from": "The sender of the envelope; without a value, or with <>, it is the null sender.",
    "rcpt": "The recipients of the envelope, repeated or with commas between. Without a value the envelope has no recipient.",
    "ip": "The address of the client from which the MTA has the message.",
    "hostname": "The host name of that client.",
    "helo": "The name of that client in HELO or EHLO.",
    "user": "The account with which that client authenticated.",
    "id": "The MTA's own id of the message, for the log.",
}
RSPAMD_FACTS = {
    "From": "The sender of the envelope.",
    "Rcpt": "The recipients of the envelope, repeated.",
    "Deliver-To": "The recipient, if there is no Rcpt.",
    "IP": "The address of the client. It counts on a unix socket or with the token only; so do Hostname, Helo and User.",
    "Hostname": "The host name of the client.",
    "Helo": "The name of the client in HELO or EHLO.",
    "User": "The account with which the client authenticated.",
    "Queue-Id": "The MTA's own id of the message, for the log.",
    "Password": "The token of the door.",
}
MESSAGE = {"required": True, "description": "The raw message.", "content": {"message/rfc822": {"schema": TEXT}, "*/*": {"schema": TEXT}}}
REFUSALS = {
    "400": "The request has a fault.",
    "401": "The token is missing or wrong.",
    "403": "The request comes from a web page, or its Host is a name.",
    "408": "The message did not come in time.",
    "411": "The request has no body.",
    "413": "The message has more than max_size bytes.",
    "415": "The message is compressed.",
    "503": "No message can be taken now. Retry-After says when to try again.",
}


def _message_route(summary: str, parameters: list[dict[str, Any]], answer: str, refusal: str) -> dict[str, Any]:
    return {
        "post": {
            "summary": summary,
            "parameters": parameters,
            "requestBody": MESSAGE,
            "security": [{}, {"token": []}],
            "responses": {"200": _answer("The decision.", _ref(answer))}
            | {code: _answer(text, _ref(refusal)) for code, text in REFUSALS.items()},
        }
    }


def _get(summary: str, *answers: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    return {"get": {"summary": summary, "responses": dict(answers)}}


STATUS = _object({"status": TEXT}, {"filters": TEXTS})
CHECK = _message_route(
    "Ask about a message in the protocol of rspamd",
    [_parameter("header", name, text, many=name == "Rcpt") for name, text in RSPAMD_FACTS.items()],
    "RspamdResult",
    "RspamdFailure",
)
SCAN = _message_route(
    "Ask about a message",
    [
        *(_parameter("header", f"X-{name.title()}", text, many=name == "rcpt") for name, text in FACTS.items()),
        *(_parameter("query", name, text, many=name == "rcpt") for name, text in FACTS.items()),
    ],
    "Decision",
    "Failure",
)
FILTER = _object({"name": TEXT, "answer": TEXT, "text": TEXT, "seconds": NUMBER})
OUTCOME = {"enum": ["enqueued", "quarantined", "on_hold", "discarded", "rejected", "deferred"]}
PART = _object({"recipients": TEXTS, "outcome": OUTCOME, "text": TEXT})
SCORES = {"action": TEXT, "score": NUMBER, "required_score": NUMBER, "symbols": {"type": "object"}, "messages": {"type": "object"}}
SCHEMAS = {
    "Decision": _object(
        {
            "outcome": OUTCOME,
            "text": TEXT | {"description": "The reason."},
            "fields": {"type": "array", "items": PAIR, "description": "Header fields to add on top, in this order: name and value."},
            "changes": {"type": "array", "items": PAIR, "description": "Fields whose first one gets a new value: name and value."},
            "recipients": TEXTS | {"description": "Recipients to add."},
            "removed": TEXTS | {"description": "Recipients to delete: the message goes to others in their place."},
            "outcomes": {"type": "array", "items": PART, "description": "The outcome of each recipient; `outcome` is the most severe."},
            "filters": {"type": "array", "items": FILTER},
            "trail": TEXTS | {"description": "The rules and filters that the message went through."},
            "id": TEXT,
        }
    ),
    "Failure": _object({"error": TEXT}),
    "RspamdResult": _object(
        SCORES | {"is_skipped": {"type": "boolean"}, "message-id": TEXT, "queue-id": TEXT}, {"milter": {"type": "object"}}
    ),
    "RspamdFailure": _object({"error": TEXT} | SCORES),
}

DOCUMENT: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {"title": "Enqueuer", "version": "0.1.0", "summary": "Ask whether rules and filters catch a message."},
    "paths": {
        "/scan": SCAN,
        "/checkv2": CHECK,
        "/check": CHECK,
        "/health": _get("Ask whether the door answers", ("200", _answer("It answers.", STATUS))),
        "/ready": _get(
            "Ask whether all filters can scan",
            ("200", _answer("All filters can scan.", STATUS)),
            ("503", _answer("These filters cannot scan now.", STATUS)),
        ),
        "/ping": _get("Ask whether the door answers, in the protocol of rspamd", ("200", _answer("It answers.", TEXT, "text/plain"))),
        "/openapi.json": _get("Read this document", ("200", _answer("The document.", {"type": "object"}))),
    },
    "components": {"schemas": SCHEMAS, "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
}
