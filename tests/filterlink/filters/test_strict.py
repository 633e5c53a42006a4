import base64
from email import policy
from email.message import EmailMessage

import pytest

from filterlink.filters import readers
from filterlink.filters.member import Look
from filterlink.filters.mime import parts

HEAD = b"Subject: x\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\n"
CODED = b"Content-Type: a/b\nContent-Transfer-Encoding: base64\n\n" + base64.encodebytes(b"hidden" * 20)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The messages that the other readers were asked to read."""
    found: list[bytes] = []

    def spy(message: bytes, look: Look) -> list[readers.Found]:
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
