"""File names: what is written is read back, what is foreign is not, and nothing passes 255 bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from enqueuer.queue.directory import names

ids = st.integers(1, 10**17)
drop_names = st.binary(min_size=1, max_size=255).filter(lambda name: b"/" not in name and b"\0" not in name)
places = st.sampled_from(["OUT", "SMTP", "A-B_2", "A-2.2", "OUT.9999", "queue-8", "hold-8", "hold-8-why", *names.PLACES])


@given(ids, drop_names)
def test_a_taken_name_gives_back_id_and_name(id: int, name: bytes) -> None:
    """A claimed drop keeps its name, whatever bytes are in it, and is never too long for the folder."""
    made = names.taken(id, name)
    parsed = names.parse_taken(made)

    assert len(made) <= names.MAX_NAME
    assert parsed is not None
    assert id == parsed.id
    assert name == parsed.name or len(made) == names.MAX_NAME


def test_a_long_taken_name_keeps_its_suffix() -> None:
    """A name of 255 bytes is shortened in the middle."""
    made = names.taken(1764000000000000, b"\xff" * 251 + b".eml")

    assert len(made) == names.MAX_NAME
    assert made.startswith(b"1764000000000000.\xff")
    assert made.endswith(b"\xff.eml")


@given(ids, st.integers(0, 10**9))
def test_queue_names_are_read_back(id: int, n: int) -> None:
    """Each of the three states of a message has a name of its own."""
    assert (id, "msg", 0) == names.parse_queue(names.queue(id))
    assert (id, "tmp", 0) == names.parse_queue(names.queue(id, "tmp"))
    assert (id, "done", n) == names.parse_queue(names.queue(id, "done", n))


@pytest.mark.parametrize(
    "name", ["", ".ids", "1.msg\n", "01.msg", "-1.msg", "x.msg", "1.done", "1.2.3.done", "1.msg.bak", "\u0661.msg", "9" * 30 + ".msg"]
)
def test_foreign_names_in_the_queue_are_nobodys(name: str) -> None:
    """A name that is not ours is never taken for a message."""
    assert names.parse_queue(name) is None


@given(ids, st.integers(0, 10**9), places)
def test_staged_names_are_read_back(id: int, n: int, place: str) -> None:
    """A staged file says whose it is, of which dispatch, and where it goes."""
    assert (id, n, place) == names.parse_staged(names.staged(id, n, place))


def test_a_place_publishes_to_its_folder() -> None:
    """Each place has one final path."""
    expected = ["Outbound/OUT/7.msg", "Outbound/OUT/7-2.msg", "Quarantine/7.msg", "Quarantine/7.why", "Bad/7.msg", "Bad/7.why"]

    assert expected == [names.final(7, place) for place in ("OUT", "OUT.2", "quarantine", "quarantine-why", "bad", "bad-why")]


def test_a_message_on_hold_and_a_new_message_have_places() -> None:
    """A new message has its own id; the staged name has the id of the message with which it comes."""
    places = ("hold", "hold-why", "queue-8", "hold-8", "hold-8-why")

    assert [names.final(7, place) for place in places] == ["Hold/7.msg", "Hold/7.why", "Queue/8.msg", "Hold/8.msg", "Hold/8.why"]
    assert [names.parse_new(place) for place in places] == [None, None, (8, "Queue", False), (8, "Hold", False), (8, "Hold", True)]
    assert sorted(places, reverse=True) == ["queue-8", "hold-why", "hold-8-why", "hold-8", "hold"]


def test_a_second_file_of_a_module_has_a_place_of_its_own() -> None:
    """The first is the module's; a module whose name ends with a number is another one."""
    assert [names.nth("OUT", number) for number in (1, 2, 10)] == ["OUT", "OUT.2", "OUT.10"]
    assert names.final(7, "OUT-2") == "Outbound/OUT-2/7.msg"


@pytest.mark.parametrize(
    "place",
    [
        "out",
        "../OUT",
        "OUT/..",
        "",
        "{}",
        "A" * 33,
        "OUT.1",
        "OUT.02",
        "OUT.10000",
        "OUT.",
        "OUT.2.3",
        "bad.2",
        "queue",
        "queue-",
        "queue-08",
        "queue-8-why",
        "hold-x",
        "hold-8-why-why",
    ],
)
def test_no_other_place_can_be_named(place: str) -> None:
    """A place never leads out of its folder."""
    with pytest.raises(ValueError, match="neither a module nor a place"):
        names.staged(7, 1, place)
    with pytest.raises(ValueError, match="neither a module nor a place"):
        names.final(7, place)


def test_refused_drops_are_numbered() -> None:
    """a.eml and a.sub both become .bad, and neither overwrites the other."""
    assert names.refused(b"a.eml") == (b"a.bad", b"a.bad.why")
    assert names.refused(b"a.sub", 2) == (b"a-2.bad", b"a-2.bad.why")
    assert names.refused(b".eml") == (b".eml.bad", b".eml.bad.why")


@given(drop_names, st.integers(1, 10**6))
def test_refused_names_fit(name: bytes, number: int) -> None:
    """Neither of the pair passes the longest file name."""
    assert all(len(made) <= names.MAX_NAME for made in names.refused(name, number))


def test_names_of_doors() -> None:
    assert names.incoming("smtp-1", 7) == "smtp-1.7.msg"
    assert names.door_lock("smtp-1") == "smtp-1.lock"
    assert names.parse_incoming("smtp-1.7.msg") == names.IncomingName("smtp-1", 7)
    assert names.parse_incoming("smtp-12.lock") == names.IncomingName("smtp-12", 0)


@pytest.mark.parametrize(
    "name", ["7.msg", "smtp.7.msg", "smtp-1.msg", "SMTP-1.7.msg", "smtp-0.7.msg", "smtp-1.07.msg", "smtp-1.7.lock", "-1.lock"]
)
def test_no_names_of_doors(name: str) -> None:
    assert names.parse_incoming(name) is None
