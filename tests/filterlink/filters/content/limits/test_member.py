from filterlink.filters.content.limits.member import FREE_OF_RATIO, MAX_MEMBERS, MAX_UNPACKED, Budget, Member, Union


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


def test_each_thing_is_taken_once() -> None:
    """All that the first reader finds, what is new of the others; their failures say nothing where it did not fail."""
    budget = Budget(99)
    union = Union(budget)
    first = [Member("a", b"1"), Member("b", b"1"), Member("a", b"2", "broken")]

    assert list(union.first(iter(first))) == first
    assert list(union.further(iter(first))) == []
    further = [Member("c", b"1"), Member("a", b"3"), Member("", b"", "broken"), Member("d\\e", b"", "encrypted"), Member("d/e", b"3")]
    assert list(union.further(iter(further), "ambiguous")) == [
        Member("c", b""),
        Member("a", b"3", "ambiguous"),
        Member("d\\e", b"", "encrypted"),
    ]


def test_each_reader_has_a_budget_of_its_own() -> None:
    """What it unpacks again is counted once."""
    budget = Budget(MAX_UNPACKED)
    union = Union(budget)
    assert budget.take(MAX_UNPACKED) == ""
    assert [union.apart().take(MAX_UNPACKED) for _ in range(3)] == [""] * 3
    assert [one.flag for one in union.further(iter((Member("a", b"new"),)))] == ["limit"]
