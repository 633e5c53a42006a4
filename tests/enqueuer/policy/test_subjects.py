"""Where the tags of a subject go."""

import email.header

import pytest

from enqueuer.policy.subjects import insertion, tagged


@pytest.mark.parametrize("subject", [b"one", b"=?utf-8?q?=C3=B6ne?="])
@pytest.mark.parametrize("tags", [("[A]",), ("[\u00c4]",), ("[\u00c4]", "[\u00d6]"), ("[\u00c4]", "[B]")])
def test_each_tag_has_one_blank_behind_it(subject: bytes, tags: tuple[str, ...]) -> None:
    """Readers drop the blanks between two encoded words."""
    header = b"X: y\nSubject: " + subject + b"\nTo: a@b\n"
    shown = str(email.header.make_header(email.header.decode_header(tagged(header, tags).decode("ascii"))))
    assert shown == " ".join((*reversed(tags), "one" if subject == b"one" else "\u00f6ne"))
    found = insertion(header, tags)
    assert found is not None
    assert found[1] + subject == tagged(header, tags)
