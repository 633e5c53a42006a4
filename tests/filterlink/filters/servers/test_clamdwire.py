import pytest

from filterlink.filters.runtime.finding import ScannerFinding
from filterlink.filters.servers.clamdwire import MAX_REPLY, BadClamdReply, Replies, chunk, command, finding


def test_commands_end_in_nul() -> None:
    """And pieces have their length before them."""
    assert command("FILDES") == b"zFILDES\0"
    assert chunk(b"abc") == b"\0\0\0\3abc"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("stream: OK", ScannerFinding()),
        ("fd[10]: OK", ScannerFinding()),
        ("stream: Win.Test.EICAR_HDB-1 FOUND", ScannerFinding("Win.Test.EICAR_HDB-1")),
        ("fd[10]: Odd: name (x:1) FOUND", ScannerFinding("Odd: name (x:1)")),
        ("INSTREAM size limit exceeded. ERROR", ScannerFinding(trouble="INSTREAM size limit exceeded.")),
        ("fd[10]: Can't allocate memory ERROR", ScannerFinding(fault="fd[10]: Can't allocate memory")),
        (
            "stream: Heuristics.Limits.Exceeded.MaxFileSize FOUND",
            ScannerFinding(trouble="over a limit (Heuristics.Limits.Exceeded.MaxFileSize)"),
        ),
        ("fd[10]: CL_EMAXREC: Recursion limit reached ERROR", ScannerFinding(trouble="fd[10]: CL_EMAXREC: Recursion limit reached")),
        ("fd[10]: Can't create temporary file ERROR", ScannerFinding(fault="fd[10]: Can't create temporary file")),
        ("1: No file descriptor received. ERROR", ScannerFinding(fault="1: No file descriptor received.")),
        ("UNKNOWN COMMAND", ScannerFinding(fault="UNKNOWN COMMAND")),
        ("OK", ScannerFinding(fault="OK")),
        ("", ScannerFinding(fault="an empty reply")),
    ],
)
def test_what_a_reply_says(text: str, found: ScannerFinding) -> None:
    """Only what says so is clean."""
    assert found == finding(text)


def test_replies_in_any_pieces() -> None:
    """Numbered in a session; what has no number is of the session itself."""
    data = b"1: stream: OK\x0012: fd[4]: X FOUND\x00COMMAND READ TIMED OUT\x00"
    expected = [(1, "stream: OK"), (12, "fd[4]: X FOUND"), (0, "COMMAND READ TIMED OUT")]
    for size in (1, 5, len(data)):
        replies = Replies()
        found = []
        for at in range(0, len(data), size):
            replies.feed(data[at : at + size])
            while reply := replies.take():
                found.append(reply)

        assert found == expected


def test_a_reply_has_a_limit() -> None:
    """Memory does not fill because somebody else listens there."""
    with pytest.raises(BadClamdReply, match="more than 65536 bytes"):
        Replies().feed(b"x" * (MAX_REPLY + 1))
