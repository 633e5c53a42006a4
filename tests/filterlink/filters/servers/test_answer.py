import pytest
from hypothesis import given
from hypothesis import strategies as st

from filterlink.filters.servers import answer as module
from filterlink.filters.servers.answer import BadAnswer, ServerAnswer

HTTP = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nCONTENT-LENGTH: 7\r\n\r\n{\n\r\n\r\n}"
SPAMD = b"SPAMD/1.1 0 EX_OK\r\nSpam: False ; 1.5 / 5.0\r\n\r\n"


def fed(data: bytes, step: int = 1 << 20) -> ServerAnswer:
    answer = ServerAnswer()
    for at in range(0, len(data), step):
        answer.feed(data[at : at + step])
    return answer


@given(step=st.integers(1, 100))
def test_it_comes_in_pieces(step: int) -> None:
    """What a read returns has nothing to do with what it means; it is complete with the last byte, and not before."""
    assert not fed(HTTP[:-1], step).complete
    answer = fed(HTTP, step)
    assert answer.complete
    assert (answer.code, answer.text, answer.body) == (200, "OK", b"{\n\r\n\r\n}")
    assert answer.fields == {"content-type": "application/json", "content-length": "7"}


@given(step=st.integers(1, 100))
def test_without_a_length_it_ends_with_the_connection(step: int) -> None:
    """As CHECK of spamd; or without even the empty line, as its errors."""
    answer = fed(SPAMD, step)
    assert not answer.complete
    answer.end()
    assert (answer.code, answer.text, answer.body, answer.fields) == (0, "EX_OK", b"", {"spam": "False ; 1.5 / 5.0"})

    answer = fed(b"SPAMD/1.0 76 Bad header line\r\n", step)
    answer.end()
    assert (answer.code, answer.text, answer.body) == (76, "Bad header line", b"")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "without an answer"),
        (HTTP[:-1], "within an answer"),
        (b"220 smtp ready\r\n", "not understood: 220 smtp"),
        (b"HTTP/1.1 20\xff", "not understood"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "a Content-Length of -1"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 999999999\r\n\r\n", "a Content-Length of 999999999"),
    ],
)
def test_what_is_no_answer(data: bytes, reason: str) -> None:
    """Is said so."""
    with pytest.raises(BadAnswer, match=reason):
        fed(data).end()


def test_an_endless_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """In bounded memory."""
    monkeypatch.setattr(module, "MAX_ANSWER", 1000)
    with pytest.raises(BadAnswer, match="more than 1000 bytes"):
        fed(b"x" * 1001, 10)


@given(st.binary(max_size=200), st.booleans())
def test_nothing_raises_anything_else(data: bytes, after_status: bool) -> None:
    """Whatever comes."""
    answer = ServerAnswer()
    try:
        answer.feed(b"HTTP/1.0 200 OK\r\n" * after_status + data)
        answer.end()
    except BadAnswer:
        return
    assert isinstance(answer.body, bytes)
