"""The score in the answer of a filter for spam."""

import pytest

from enqueuer.policy.scores import score
from filterlink.wire.frames import AnswerKind, FilterAnswer


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (FilterAnswer(AnswerKind.OK), ""),
        (FilterAnswer(AnswerKind.OK, "", (b"X-Spam-Flag: YES", b"X-Spam-Status: Yes, score=12.3 required=5.0\n\ttests=A")), "12.3/5.0"),
        (FilterAnswer(AnswerKind.OK, "", (b"X-Spam-Status: No, hits=-1.0 required=5",)), "-1.0/5"),
        (FilterAnswer(AnswerKind.OK, "", (b"x-spamd-result: default: False [3.10 / 15.00];\n\tA(1.0)",)), "3.10/15.00"),
        (FilterAnswer(AnswerKind.OK, "", (b"X-Spam-Score: 4.2",)), "4.2"),
        (FilterAnswer(AnswerKind.ERROR, "spam: score 12.3 of 15.0 (A, B)"), "12.3/15.0"),
        (FilterAnswer(AnswerKind.REJECTED, "rspamd: greylisted, score 5.1"), "5.1"),
        (FilterAnswer(AnswerKind.ERROR, "underscore 5 found"), ""),
        (FilterAnswer(AnswerKind.OK, "", (b"X-Spam-Score: " + b"9" * 5000,)), ""),
    ],
)
def test_a_score_is_found_where_filters_write_it(answer: FilterAnswer, found: str) -> None:
    assert score(answer) == found
