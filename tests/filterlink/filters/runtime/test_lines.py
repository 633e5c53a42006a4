from filterlink.filters.runtime.lines import MAX_LINE, Lines


def test_lines_come_whole_however_they_are_cut() -> None:
    """Also the last one without its end."""
    lines = Lines()
    found = [line for byte in b"1 a\r\n2 b\n3 c" for line in lines.feed(bytes([byte]))]

    assert [*found, *lines.feed(b"")] == [b"1 a", b"2 b", b"3 c"]
    assert lines.ended


def test_what_is_too_long_is_thrown_away() -> None:
    """And nothing of it is kept."""
    lines = Lines()

    assert lines.feed(b"x" * (MAX_LINE + 1)) == []
    assert lines.feed(b"y" * MAX_LINE + b"\n1 a\n") == [b"1 a"]
