"""Read the score that a filter for spam gives, from its answer. Pure."""

import re

from filterlink.wire.frames import FilterAnswer

__all__ = ["score"]

MAX_LOOKED_AT = 4000
"""Characters of a field or report in which a score is looked for."""
_SCORES = (
    re.compile(r"X-Spam-Status:[^\n]*?\b(?:score|hits)=(-?\d{1,6}(?:\.\d{1,4})?) required=(-?\d{1,6}(?:\.\d{1,4})?)", re.IGNORECASE),
    re.compile(r"X-Spamd-Result:[^\n\[]{0,100}\[(-?\d{1,6}(?:\.\d{1,4})?) / (-?\d{1,6}(?:\.\d{1,4})?)\]", re.IGNORECASE),
    re.compile(r"X-Spam-Score:\s{0,10}(-?\d{1,6}(?:\.\d{1,4})?)()\b", re.IGNORECASE),
)
"""Fields that filters for spam add, with a score and, if they have one, its limit."""
_REPORT = re.compile(r"\bscore (-?\d{1,6}(?:\.\d{1,4})?)(?: of (-?\d{1,6}(?:\.\d{1,4})?))?\b")


def score(answer: FilterAnswer) -> str:
    """Return a score with its limit, `3.1/5.0`, from the fields that a filter adds or from its report; "" if none has one."""
    for field in answer.fields:
        if field[:6].lower() == b"x-spam":
            text = field[:MAX_LOOKED_AT].decode("ascii", "replace").replace("\n", " ")
            if match := next((match for each in _SCORES if (match := each.match(text))), None):
                return "/".join(filter(None, match.groups()))
    if answer.text and (match := _REPORT.search(answer.text[:MAX_LOOKED_AT])):
        return "/".join(filter(None, match.groups()))
    return ""
