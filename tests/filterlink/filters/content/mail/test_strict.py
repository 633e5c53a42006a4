import base64
import io
import random
import zipfile
from email import policy
from email.message import EmailMessage

import pytest

from filterlink.filters.content.limits.member import Look, no_clock
from filterlink.filters.content.mail import readers
from filterlink.filters.content.mail.filenames import clean_name
from filterlink.filters.content.mime import parts

HEAD = b"Subject: x\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\n"
CODED = b"Content-Type: a/b\nContent-Transfer-Encoding: base64\n\n" + base64.encodebytes(b"hidden" * 20)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The messages that the other readers were asked to read."""
    found: list[bytes] = []

    def spy(message: bytes, look: Look) -> list[readers.LeafFound]:
        found.append(message)
        return []

    monkeypatch.setattr(readers, "by_email", spy)
    monkeypatch.setattr(readers, "by_rust", spy)
    return found


@pytest.mark.parametrize("lines", [policy.default, policy.SMTP])
def test_ordinary_mail_is_read_once(asked: list[bytes], lines: policy.EmailPolicy) -> None:
    """Texts, alternatives, attachments with a plain name, as Python writes them: what all programs read alike."""
    message = EmailMessage()
    message["Subject"] = "x"
    message["From"] = "Ann <ann@example.com>"
    message.set_content("plain ä = 1\n", cte="quoted-printable")
    message.add_alternative("<p>html</p>\n", subtype="html")
    message.add_attachment(bytes(range(256)) * 9, "application", "pdf", filename="the report.pdf")
    list(parts(message.as_bytes(policy=lines)))

    assert asked == []


@pytest.mark.parametrize(
    "message",
    [
        b"Subject: x\r\n\r\nbody\n",  # two kinds of line ends
        b"Subject: x\n\nbo\rdy\n",
        b"Subject: x\n\nbo\0dy\n",
        b"Subject: x\nno field\n\nbody\n",
        b"Subject: x\n \nX: y\n\nbody\n",  # a line of blanks
        b"Subject : x\n\nbody\n",
        b"\xef\xbb\xbfSubject: x\n\nbody\n",
        b"Subject: x\nContent-Type: text/plain",  # no empty line
        b"Content-Type: text/plain (x)\n\nbody\n",
        b"Content-Type: text\n\nbody\n",
        b"Content-Type: text/plain; charset=a; charset=b\n\nbody\n",
        b"Content-Type: text/plain; name*=''a\n\nbody\n",
        b"Content-Type: text/plain; name=a b\n\nbody\n",
        b'Content-Type: text/plain; name="a\n\nbody\n',
        b'Content-Type: text/plain; name="a\\"b"\n\nbody\n',
        b'Content-Type: text/plain; name="=?utf-8?q?a?="\n\nbody\n',
        b'Content-Type: text/plain; name="a%2Eexe"\n\nbody\n',
        b"Content-Type: text/plain\nContent-Type: text/html\n\nbody\n",
        b"Content-Name: a\n\nbody\n",
        b"Content-Type: message/rfc822\n\nSubject: x\n\nbody\n",
        b"Content-Type: multipart/digest; boundary=b\n\n--b\n\nSubject: x\n\nbody\n--b--\n",
        b"Content-Transfer-Encoding: x-base64\n\nYQ==\n",
        b"Content-Transfer-Encoding: base64 (x)\n\nYQ==\n",
        b"Content-Transfer-Encoding: x-uuencode\n\nbegin 644 a\n`\nend\n",
        b"Content-Transfer-Encoding: base64\n\nYQ==\nYQ==\n",
        b"Content-Transfer-Encoding: base64\n\nYQ\n",
        b"Content-Transfer-Encoding: base64\n\nY*Q==\n",
        b"Content-Transfer-Encoding: base64\n\nYQ==\n-- \nfooter\n",
        b"Content-Transfer-Encoding: quoted-printable\n\na=3d\n",
        b"Content-Transfer-Encoding: quoted-printable\n\na= \nb\n",
        HEAD + CODED,  # no closing delimiter
        HEAD + CODED + b"--b--\nfooter\n",
        HEAD + CODED + b"--b--\n--b--\n",
        HEAD + CODED + b"--bc\n--b--\n",
        HEAD.replace(b"=b\n", b"=b\nContent-Transfer-Encoding: base64\n") + CODED + b"--b--\n",
        HEAD.replace(b"=b\n", b"=\n") + CODED + b"--b--\n",
        HEAD + b"\n" + CODED + b"--b--\n",  # a header that only some see
        HEAD.replace(b"--b\n", CODED + b"--b\n") + CODED + b"--b--\n",
    ],
)
def test_what_is_not_of_the_grammar_is_read_by_all(asked: list[bytes], message: bytes) -> None:
    """One fault is enough."""
    list(parts(message))

    assert asked == [message] * 2


def test_a_message_within_says_nothing_of_the_one_around_it(asked: list[bytes]) -> None:
    """A zip with ordinary mail in it, behind a part that is not of the grammar."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as file:
        file.writestr("a.eml", b"Subject: x\n\nbody\n")
    attached = b"Content-Type: application/zip\nContent-Transfer-Encoding: base64\n\n" + base64.encodebytes(target.getvalue())
    message = HEAD + b"Content-Type: text/plain (x)\n\ntext\n--b\n" + attached + b"--b--\n"
    list(parts(message))

    assert asked == [message] * 2


OTHERS = (readers.by_email, readers.by_rust)
PIECES = (
    *(
        b"\n",
        b"\r\n",
        b"\r",
        b"\0",
        b" ",
        b"\t",
        b";",
        b'"',
        b"=",
        b"==",
        b"--",
        b"--b",
        b"--b--",
        b"(",
        b")",
        b"\\",
        b"*",
        b"%",
        b"'",
        b"/",
        b":",
        b",",
    ),
    *(
        b"=?",
        b"?=",
        b"A",
        b"\xff",
        b"name=x",
        b"; boundary=c",
        b"Content-Type: ",
        b"Content-Transfer-Encoding: base64\n",
        b"multipart/mixed",
        b"X",
    ),
)


def mutated(chance: random.Random) -> bytes:
    """An ordinary message with some pieces put in, taken out or moved."""
    ends = chance.choice((b"\n", b"\r\n"))
    inner = b"Content-Type: multipart/alternative; boundary=i\n\n--i\nContent-Type: text/plain; name=a.txt\n\ntext\n--i\n\n<p>\n--i--\n"
    quoted = b"Content-Type: text/html; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\na=3Db =\nc\n"
    parts = chance.sample((inner, quoted, CODED, CODED.replace(b"a/b", b'a/b; name="x y.bin"'), b"\nplain\n"), chance.randint(1, 5))
    message = bytearray((HEAD + b"--b\n".join(parts) + b"--b--\n").replace(b"\n", ends))
    for _ in range(chance.choice((0, 1, 1, 1, 2, 3))):
        at = chance.randrange(len(message))
        length = chance.choice((0, 0, 1, 2, 9))
        message[at : at + length] = chance.choice((b"", *PIECES, bytes(message[at : at + chance.randint(1, 60)]) * 2))
    return bytes(message)


def normal(data: bytes) -> bytes:
    return data.replace(b"\r\n", b"\n").strip()


@pytest.mark.parametrize("seed", range(4))
def test_what_follows_the_grammar_is_read_alike(asked: list[bytes], seed: int) -> None:
    """Of mutated mail that the other readers are not asked for: they find the same contents, and no other name."""
    chance = random.Random(seed)
    alike = 0
    for _ in range(1500):
        message = mutated(chance)
        asked.clear()
        found = list(parts(message))
        if asked or "limit" in [part.flag for part in found]:
            continue
        alike += 1
        contents = {normal(part.data) for part in found}
        names = {name for part in found for name in part.names}
        for reader in OTHERS:
            for leaf in reader(message, no_clock):
                assert normal(leaf.data) in contents | {b""}, (reader, message)
                assert set(map(clean_name, leaf.names)) <= names | {""}, (reader, message)
    assert alike > 300
