"""Write the JSON documents of the HTTP door. Pure."""

from collections.abc import Mapping

import msgspec

from enqueuer.doors.asking.decision import DoorDecision

__all__ = ["clean", "field_pairs", "refused", "scan_document"]


def scan_document(decision: DoorDecision) -> bytes:
    """Return the answer to POST /scan."""
    return encode(
        {
            "outcome": decision.disposition,
            "text": clean(decision.text),
            "fields": field_pairs(decision.fields),
            "changes": [(clean(name), clean(value)) for name, value in decision.changes],
            "recipients": [clean(each) for each in decision.recipients],
            "removed": [clean(each) for each in decision.removed],
            "outcomes": [
                {"recipients": [clean(each) for each in part.recipients], "outcome": part.disposition, "text": clean(part.text)}
                for part in decision.parts
            ],
            "filters": [
                {
                    "name": name,
                    "answer": answer.kind.upper(),
                    "text": clean(answer.text),
                    "seconds": round(decision.verdicts.seconds.get(name, 0.0), 6),
                }
                for name, answer in decision.verdicts.answers.items()
            ],
            "trail": [clean(each) for each in decision.trail],
            "id": str(decision.id),
        }
    )


def refused(text: str, **more: object) -> bytes:
    """Return the body of an answer without a decision."""
    return encode({"error": text, **more})


def encode(document: Mapping[str, object]) -> bytes:
    return msgspec.json.encode(document) + b"\n"


def field_pairs(fields: tuple[bytes, ...]) -> list[tuple[str, str]]:
    """Return name and value of header fields, in their order. Folds stay as LF and a blank or tab."""
    pairs = (field.partition(b":") for field in fields)
    return [(clean(name), clean(value.removeprefix(b" "))) for name, _, value in pairs]


def clean(text: str | bytes) -> str:
    """Return text that JSON can have: bytes that are not UTF-8 are replaced."""
    return (text.encode("utf-8", "replace") if isinstance(text, str) else text).decode("utf-8", "replace")
