import zlib

import pytest

from filterlink.filters.content.archive import Member, members
from filterlink.filters.content.containers import cms
from tests.helpers.boxes import COMPRESSED, ENVELOPED, der
from tests.helpers.boxes import cms as made

TEXT = b"Content-Type: text/plain\n\nthe text" + bytes(300)
OIDS = {"signed and enveloped": "2a864886f70d010704", "encrypted": "2a864886f70d010706", "AuthEnveloped": "2a864886f70d0109100117"}


def contents(data: bytes) -> list[tuple[bytes, str]]:
    return [(one.data, one.flag) for one in members(data, "smime")]


@pytest.mark.parametrize("oid", [ENVELOPED, *OIDS.values()])
def test_what_is_encrypted_is_flagged(oid: str) -> None:
    assert contents(made(TEXT, oid)) == [(b"", "encrypted")]


def test_no_content_is_no_flag() -> None:
    """Detached signatures, and messages that carry certificates only."""
    assert cms.is_cms(made(None))
    assert contents(made(None)) == []
    assert contents(made(None, indefinite=True)) == []


@pytest.mark.parametrize("chunk", [0, 7, 100])
@pytest.mark.parametrize("indefinite", [False, True])
def test_any_form_of_length(chunk: int, indefinite: bool) -> None:
    """Chunks may hold chunks; what follows the content is not one of it."""
    assert contents(made(TEXT, chunk=chunk, indefinite=indefinite)) == [(TEXT, "")]
    nested = der(0x24, der(0x24, der(4, b"a"), der(4, b"b"), indefinite=True), der(0x24, der(4, b"c")), indefinite=indefinite)
    value = der(0x30, der(6, bytes.fromhex("2a864886f70d010701")), der(0xA0, nested))
    assert contents(value + b"behind") == [(b"abc", "")]


def test_compressed_content() -> None:
    """Whole, cut, and of a size that is a bomb's."""
    assert contents(made(zlib.compress(TEXT), COMPRESSED)) == [(TEXT, "")]
    assert contents(made(zlib.compress(TEXT)[:-8], COMPRESSED))[0][1] == "broken"
    assert contents(made(zlib.compress(bytes(40 << 20)), COMPRESSED))[0][1] == "bomb"


def test_a_cut_file_gives_what_is_there() -> None:
    data = made(TEXT, chunk=100, indefinite=True)
    assert contents(data[: data.index(b"the text") + 4]) == [(TEXT[: TEXT.index(b"the text") + 4], "broken")]


def test_types_in_types_have_a_limit() -> None:
    """PKCS #7 lets a type hold another one without an OCTET STRING between them."""
    signed = bytes.fromhex("2a864886f70d010702")
    value = der(0x30, der(6, bytes.fromhex("2a864886f70d010701")), der(0xA0, der(4, b"in it")))
    for depth in range(cms.MAX_NESTING):
        assert contents(value) == [(b"in it", "")], depth
        value = der(0x30, der(6, signed), der(0xA0, der(0x30, b"\2\1\1", der(0x31), value)))
    assert contents(value) == [(b"", "limit")]


def test_the_files_name_without_its_suffix_is_looked_at() -> None:
    assert Member("invoice.exe", b"") in list(members(made(TEXT), "invoice.exe.p7m"))
