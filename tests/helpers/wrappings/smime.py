"""Wrap payloads in S/MIME by hand: data in a signature, in DER and in BER, cut in all ways that ASN.1 allows."""

import base64
import datetime
import functools
import hashlib
from collections.abc import Callable, Iterator

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.helpers.wrappings.base import HEAD, Build, Payload, Wrapping, attached, fields, mixed, part, variants

__all__ = ["signed", "wrappings"]

Inner = Callable[[Payload], bytes]


def wrappings() -> Iterator[Wrapping]:
    """Yield all wrappings of the kind containers in this module."""
    yield from variants("containers", "S/MIME", _WRAPPINGS)


@functools.cache
def _signer() -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key = ec.derive_private_key(12345, ec.SECP256R1())  # the same in each run
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    begin = datetime.datetime(2026, 1, 1)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
    return key, builder.not_valid_before(begin).not_valid_after(begin.replace(year=2046)).sign(
        key, hashes.SHA256(), ecdsa_deterministic=True
    )


def _der(tag: int, *contents: bytes) -> bytes:
    body = b"".join(contents)
    size = len(body)
    length = bytes([size]) if size < 128 else bytes([0x80 | (size.bit_length() + 7) // 8]) + size.to_bytes((size.bit_length() + 7) // 8)
    return bytes([tag]) + length + body


def _ber(tag: int, *contents: bytes) -> bytes:
    """Encode an element without a length: two zeros end it."""
    return bytes([tag, 0x80]) + b"".join(contents) + b"\0\0"


_OIDS = {
    "data": "2a864886f70d010701",
    "signed": "2a864886f70d010702",
    "enveloped": "2a864886f70d010703",
    "compressed": "2a864886f70d0109100109",
    "receipt": "2a864886f70d0109100101",
    "sha256": "608648016503040201",
    "ecdsa": "2a8648ce3d040302",
}


def _oid(name: str) -> bytes:
    return _der(6, bytes.fromhex(_OIDS[name]))


def _octets(data: bytes, pieces: int, constructed: Callable[..., bytes]) -> bytes:
    """Encode an octet string, whole or cut into pieces."""
    if not pieces:
        return _der(4, data)
    size = max(1, len(data) // pieces)
    return constructed(0x24, *(_der(4, data[at : at + size]) for at in range(0, len(data), size)))


def signed(data: bytes, ber: bool = False, pieces: int = 0, content: str = "data", signers: bool = True, certificate: bool = True) -> bytes:
    """Sign data and include it. `ber`: indefinite lengths; `pieces`: cuts the data."""
    key, own = _signer()
    make = _ber if ber else _der
    digest = _der(0x30, _oid("sha256"))
    inner = make(0x30, _oid(content), make(0xA0, _octets(data, pieces, make)))
    issuer = _der(0x30, own.issuer.public_bytes(), _der(2, b"\1"))
    signature = key.sign(data, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
    signer = _der(0x30, _der(2, b"\1"), issuer, digest, _der(0x30, _oid("ecdsa")), _der(4, signature))
    whole = own.public_bytes(serialization.Encoding.DER)
    extra = _der(0xA0, whole) if certificate else b""
    body = (_der(2, b"\1"), _der(0x31, digest), inner, extra, _der(0x31, signer if signers else b""))
    return make(0x30, _oid("signed"), make(0xA0, make(0x30, *body)))


_P7M = b"Content-Type: application/pkcs7-mime; smime-type=signed-data; name=smime.p7m\n"
_P7M += b"Content-Disposition: attachment; filename=smime.p7m\n"


def _whole(data: bytes, head: bytes = _P7M) -> bytes:
    """Return a message that is a signature."""
    return HEAD + head + b"Content-Transfer-Encoding: base64\n\n" + base64.encodebytes(data)


def _inner(payload: Payload) -> bytes:
    """Return the signed content: a multipart with the payload, without the fields of a message."""
    return mixed(part(payload), head=b"").replace(b"b1", b"c2").replace(b"\n", b"\r\n")


def _alone(payload: Payload) -> bytes:
    return (part(payload)).replace(b"\n", b"\r\n")


def _form(**options: object) -> Build:
    return lambda payload: _whole(signed(_inner(payload), **options))  # type: ignore[arg-type]


def _typed(head: bytes) -> Build:
    return lambda payload: _whole(signed(_inner(payload)), head)


_WRAPPINGS: dict[str, Build] = {
    "DER": _form(),
    "DER of a single part": lambda p: _whole(signed(_alone(p))),
    "DER of the file alone": lambda p: _whole(signed(p.data)),
    "BER": _form(ber=True),
    "BER in two pieces": _form(ber=True, pieces=2),
    "BER in 40 pieces": _form(ber=True, pieces=40),
    "BER in one piece": _form(ber=True, pieces=1),
    "DER in three pieces": _form(pieces=3),
    "no signer": _form(signers=False, certificate=False),
    "no certificate": _form(certificate=False),
    "content of another type": _form(content="receipt"),
    "in binary": lambda p: HEAD + _P7M + b"Content-Transfer-Encoding: binary\n\n" + signed(_inner(p)),
    "in binary without an encoding": lambda p: HEAD + _P7M + b"\n" + signed(_inner(p)),
    "x-pkcs7-mime": _typed(_P7M.replace(b"pkcs7", b"x-pkcs7")),
    "no smime-type": _typed(b"Content-Type: application/pkcs7-mime; name=smime.p7m\n"),
    "no name": _typed(b"Content-Type: application/pkcs7-mime; smime-type=signed-data\n"),
    "says that it is encrypted": _typed(_P7M.replace(b"signed-data", b"enveloped-data")),
    "type in capitals": _typed(_P7M.replace(b"application/pkcs7-mime", b"APPLICATION/PKCS7-MIME")),
    "as octets called smime.p7m": attached("smime.p7m", lambda p: signed(_inner(p))),
    "as octets called smime.p7s": attached("smime.p7s", lambda p: signed(_inner(p))),
    "as octets called a.dat": attached("a.dat", lambda p: signed(_inner(p))),
    "signed twice": lambda p: _whole(signed(_P7M + b"Content-Transfer-Encoding: base64\n\n" + base64.encodebytes(signed(_inner(p))))),
    "signed twice, bare": lambda p: _whole(signed(signed(_inner(p)))),
    "in a forwarded message": lambda p: mixed(b"Content-Type: message/rfc822\n\n" + _whole(signed(_inner(p)))),
    "beside a text": lambda p: mixed(_P7M + b"Content-Transfer-Encoding: base64\n\n" + base64.encodebytes(signed(_inner(p)))),
    "PEM": attached("smime.p7m", lambda p: _pem(signed(_inner(p)))),
    "junk behind": lambda p: _whole(signed(_inner(p)) + b"junk" * 20),
    "wrong signature": lambda p: _whole(signed(_inner(p)).replace(hashlib.sha256(b"").digest(), b"")[:-1] + b"\0"),
    "detached, the payload beside it": lambda p: mixed(
        fields(p) + b"\n" + base64.encodebytes(p.data),
        type=b'multipart/signed; protocol="application/pkcs7-signature"; micalg=sha-256; boundary=b1',
    ),
}


def _pem(data: bytes) -> bytes:
    return b"-----BEGIN PKCS7-----\n" + base64.encodebytes(data) + b"-----END PKCS7-----\n"
