import pytest

from filterlink.filters.runtime.envelope import FilterEnvelope, read_envelope


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([], FilterEnvelope()),
        ([b"P I 17-09-2001 09:52:33 0000 ____ ____ <>"], FilterEnvelope(sender=b"")),
        (
            [b"S <u@v> SMTP [10.4.0.159]", b"A v [10.21.2.87]", b"O L", b"P I x <a@b>", b"R W x <c@d>", b"R W x <e@f>"],
            FilterEnvelope(b"a@b", (b"c@d", b"e@f"), b"u@v", "10.4.0.159", here=b"v"),
        ),
        (
            [b"S SMTP [199.199.199.199]", b"R W x <<odd> c@d> <e@f>", b"R W nothing"],
            FilterEnvelope(None, (b"e@f",), b"", "199.199.199.199"),
        ),
        ([b"S DSN [0.0.0.0]"], FilterEnvelope()),
        ([b"S SMTP [IPv6:2001:db8::1]"], FilterEnvelope(peer="2001:db8::1")),
        ([b"S <[1.2.3.4]@x> HTTP [::1]"], FilterEnvelope(account=b"[1.2.3.4]@x", peer="::1")),
        ([b"S SMTP [1.2.3.4.5]", b"Z <q@r>"], FilterEnvelope()),
        ([b"P I x <a\rX: y\0@b>"], FilterEnvelope(sender=b"aX: y@b")),
        ([b"A host"], FilterEnvelope(here=b"host")),
        ([b"A host uid=1000"], FilterEnvelope(here=b"host")),
        ([b"A host name=mx.example helo=%5B::1%5D"], FilterEnvelope(here=b"host", name=b"mx.example", helo=b"[::1]")),
        ([b"A host uid=0 helo=a%0D%0AX:%20y%00%7F"], FilterEnvelope(here=b"host", helo=b"aX: y")),
        ([b"A host name=x queue-id=4F2%3A door=a"], FilterEnvelope(here=b"host", name=b"x", queue_id=b"4F2:")),
        ([b"A helo=x", b"A"], FilterEnvelope(here=b"helo=x")),
        ([b"A host helo=%zz%5"], FilterEnvelope(here=b"host", helo=b"%zz%5")),
    ],
)
def test_what_lines_of_any_server_say(lines: list[bytes], expected: FilterEnvelope) -> None:
    """In any order, tolerantly, and nothing that could begin a line of another protocol."""
    assert expected == read_envelope(lines)
