"""Line ends of a message that comes in pieces."""

from hypothesis import given
from hypothesis import strategies as st

from enqueuer.doors.http.body import MessageBody


@given(st.lists(st.text("a\r\n", max_size=8).map(str.encode)))
def test_the_pieces_make_no_difference(pieces: list[bytes]) -> None:
    body = MessageBody()
    found = b"".join(map(body.feed, pieces)) + body.end()
    whole = b"".join(pieces)
    assert found == whole.replace(b"\r\n", b"\n")
    assert (body.size, body.start) == (len(whole), found)
