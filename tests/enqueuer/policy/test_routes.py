"""Routes: the first that fits, and always one."""

import time

import pytest

from enqueuer.policy import routes
from enqueuer.policy.routes import Route


def compiled(*pairs: tuple[str, str]) -> routes.Routes:
    return routes.compile([Route(recipient=recipient, to=to) for recipient, to in (*pairs, ("*", "OUT"))])


@pytest.mark.parametrize(
    ("pattern", "address", "fits"),
    [
        ("*@example.com", b"Ann@EXAMPLE.com", True),
        ("*@example.com", b"ann@example.com.evil", False),
        ("ann@example.com", b"ann@example.com", True),
        ("ann@example.com", b"joann@example.com", False),
        ("a*b*c", b"abc", True),
        ("a*b*c", b"a--b--c", True),
        ("a*b*c", b"ac", False),
        ("ab*ba", b"aba", False),
        ("*b*b*", b"b", False),
        ("*", b"", True),
        ("*.", b"\xff\n.", True),
        ("[a]@?", b"a@x", False),
    ],
)
def test_a_pattern_fits_the_whole_address(pattern: str, address: bytes, fits: bool) -> None:
    """`*` is any text, case does not matter, and nothing else is special."""
    assert (compiled((pattern, "IN")).module_of(address) == "IN") is fits


def test_the_first_that_fits_wins() -> None:
    """The order of the file decides."""
    assert compiled(("*@a", "ONE"), ("x@a", "TWO")).module_of(b"x@a") == "ONE"


def test_modules_are_named_once() -> None:
    """Each module queue is made once."""
    assert compiled(("a", "ONE"), ("b", "OUT"), ("c", "ONE")).modules == ("ONE", "OUT")


def test_matching_takes_linear_time() -> None:
    """No address makes a pattern of many stars slow."""
    start = time.process_time()
    compiled(("*a" * 30 + "b", "IN")).module_of(b"a" * 100_000)

    assert time.process_time() - start < 0.5


@pytest.mark.parametrize("to", ["", "out", "1A", "A" * 33, "A/B", "..", "SMTP(a)b"])
def test_a_module_is_a_plain_name(to: str) -> None:
    """It becomes the name of a folder."""
    with pytest.raises(ValueError, match=r"routes\[0\]\.to"):
        compiled(("x", to))


def test_the_last_route_takes_all() -> None:
    """No recipient is without a way."""
    with pytest.raises(ValueError, match="last route"):
        routes.compile([Route(recipient="a", to="OUT")])
    with pytest.raises(ValueError, match="last route"):
        routes.compile([])
