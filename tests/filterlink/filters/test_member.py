from filterlink.filters.member import FREE_OF_RATIO, MAX_MEMBERS, MAX_UNPACKED, Budget


def test_members_are_counted() -> None:
    """The first one too many has the flag."""
    budget = Budget(1)
    flags = [budget.count() for _ in range(MAX_MEMBERS + 1)]

    assert (set(flags[:-1]), flags[-1]) == ({""}, "limit")


def test_bytes_are_counted() -> None:
    """Much from little is a bomb; very much from much is too much."""
    assert Budget(1).take(FREE_OF_RATIO) == ""
    assert Budget(1).take(FREE_OF_RATIO + 1) == "bomb"
    whole = Budget(MAX_UNPACKED)
    assert [whole.take(MAX_UNPACKED), whole.take(1)] == ["", "limit"]
