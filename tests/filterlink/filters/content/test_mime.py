import base64
import binascii
import io
import time
import zipfile
from email import policy
from email.message import EmailMessage

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filterlink.filters.content import mime
from filterlink.filters.content.limits import member
from filterlink.filters.content.mail import boundaries
from filterlink.filters.content.mail.encodings import decode_base64
from filterlink.filters.content.mime import Part, parts
from tests.helpers.linear import is_linear

HEAD = b'Subject: x\nContent-Type: multipart/mixed; boundary="b"\n\n'


def contents(message: bytes) -> list[bytes]:
    return [part.data for part in parts(message)]


def packed(files: dict[str, bytes]) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as file:
        for name, data in files.items():
            file.writestr(name, data)
    return target.getvalue()


def zipped(name: str, data: bytes) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as file:
        file.writestr(name, data)
    return target.getvalue()


@pytest.mark.parametrize("lines", [policy.default, policy.SMTP])
def test_a_message_as_mail_programs_write_it(lines: policy.EmailPolicy) -> None:
    """Texts and attachments come out decoded, with name, type and place, in LF and CRLF."""
    message = EmailMessage()
    message["Subject"] = "x"
    message.set_content("plain ä\n", cte="quoted-printable")
    message.add_alternative("<p>html</p>\n", subtype="html")
    message.add_attachment(bytes(range(256)) * 9, "application", "x-any", filename="ä b.bin")
    found = list(parts(message.as_bytes(policy=lines)))

    assert [part.type for part in found] == ["text/plain", "text/html", "application/x-any"]
    assert ["plain ä".encode(), b"<p>html</p>", bytes(range(256)) * 9] == [part.data.rstrip(b"\r\n") for part in found[:2]] + [
        found[2].data
    ]
    assert (found[2].names, found[2].place) == (("ä b.bin",), "ä b.bin")


def test_messages_inside_of_messages() -> None:
    """A forwarded message is opened, as it is, encoded, or attached as a file."""
    inner = HEAD + b"--b\nContent-Type: a/b\n\nhidden\n--b--\n"
    coded = base64.encodebytes(inner)

    for message in (
        b"Content-Type: message/rfc822\n\n" + inner,
        b"Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\n" + coded,
        b"Content-Type: application/octet-stream; name=a.eml\nContent-Transfer-Encoding: base64\n\n" + coded,
    ):
        assert b"hidden" in contents(message)


def test_base64_goes_on_after_padding() -> None:
    """Every group counts, and characters that do not belong there do not."""
    assert decode_base64(b"aGVsbG8=IHdv\r\ncmxk") == b"hello world"
    assert decode_base64(b"aG!Vsb\0G8===\n=\nIHd v-cmxk====") == b"hello world"
    assert decode_base64(b"aGVsbA") == b"hell"
    assert decode_base64(b"aGVsb") == b"hel"
    assert decode_base64(b"") == b""


def test_every_reading_of_base64_is_a_part() -> None:
    """Group by group, as if there were no padding, and up to it; the flag says that readers differ."""
    joined = base64.b64encode(b"hidden")
    message = b"Content-Transfer-Encoding: base64\n\n"

    found = [part for part in parts(message + b"Zmlyc3Q=\n" + joined) if part.flag == "ambiguous"]
    assert len(found) == 3
    assert (found[0].data, found[2].data) == (b"firsthidden", b"first")
    assert b"hidden" in b"".join(contents(message + joined[:3] + b"=" + joined[3:]))
    assert [part.flag for part in parts(message + b"Zmlyc3Q=\n=\n")] == [""]


@given(st.binary(max_size=200))
@settings(max_examples=50, deadline=None)
def test_base64_is_what_was_encoded(data: bytes) -> None:
    """For any data."""
    assert data == decode_base64(base64.encodebytes(data))


@pytest.mark.parametrize(
    "message",
    [
        b"Content-Type: multipart/mixed\n\n--b\n\nhidden\n--b--\n",  # no boundary named
        b"Content-Type: multipart/mixed; boundary=other\n\n--b\n\nhidden\n--b--\n",  # another one named
        b"Content-Type: multipart/mixed; boundary=\n\n--b\n\nhidden\n--b--\n",
        HEAD + b"--b\n\nhidden",  # never closed
        b"Content-Type: multipart; boundary=b\n\n--b\n\nhidden\n--b--\n",
        b"Subject: x\n\nContent-Type:\n--b\nContent-Transfer-Encoding: base64\n\naGlkZGVu",  # by no structure
        HEAD + b"--b\r\n\r\nhidden\r\n--b--\r\n",
        HEAD + b"--b--\n\nhidden\n--b--\n",  # after a closing one
        HEAD + b"--b--\n--b\n\nhidden\n--b--\n",
        HEAD + b"--bcd\n\nhidden\n--bcd\n",  # only begins like it
        HEAD + b"--b   \n\nhidden\n--b",
        HEAD + b"preamble\n--b\n--b\n--b\n\nhidden\n--b--\nepilogue",
        HEAD + b"--b\n" + b"\n" * 200 + b"hidden\n--b--\n",
        b"Content-Type: multipart/mixed; boundary=b\nContent-Transfer-Encoding: base64\n\n" + base64.b64encode(b"--b\n\nhidden\n--b--\n"),
        b"From ann Mon Jan 1\n" + HEAD + b"--b\n\nhidden\n--b--\n",
    ],
)
def test_broken_multiparts(message: bytes) -> None:
    """What some mail program would show is found."""
    assert b"hidden" in [data.strip() for data in contents(message)]


CODED = b"Content-Transfer-Encoding: base64\n"
HIDDEN = base64.b64encode(b"hidden")


@pytest.mark.parametrize("outer", [b"", HEAD + b"--b\n"], ids=["message", "part"])
@pytest.mark.parametrize(
    "text",
    [
        b" x\n" + CODED + b"\n" + HIDDEN,  # begins with a continuation line
        b": x\n" + CODED + b"\n" + HIDDEN,
        b"rubbish\n" + CODED + b"\n" + HIDDEN,
        b"\n" + CODED + b"\n" + HIDDEN,  # with an empty line
        b"\n \r\n" + CODED + b"\n" + HIDDEN,
        CODED + b": x\n" + HIDDEN,  # a line that is no field may end the header
        CODED + HIDDEN,  # no empty line at all
        CODED + b"From a b\n" + HIDDEN,
        b"Content-Transfer-Encoding: quoted-printable\nhid=64en\t: x\n\n",  # blanks before the colon
        CODED + HIDDEN + b"\n\nthe end",
        CODED + b" \n" + HIDDEN + b"\n\n",  # nor one that is quite empty
        CODED + b"\t\r\n" + HIDDEN,
        b"X-A: 1\r" + CODED + b"\n" + HIDDEN,  # bare CR between fields
        b"X-A: 1\r" + CODED + b"X-B: 2\r\n\r\n" + HIDDEN,
        (b"X-A: 1\n" + CODED + b"\n" + HIDDEN).replace(b"\n", b"\r"),
        b"Content-Transfer-Encoding: 7bit\n" + CODED + b"\n" + HIDDEN,
        CODED + b"Content-Transfer-Encoding: quoted-printable\n\n" + HIDDEN,
        b"--b 1 x\nContent-Transfer-Encoding: quoted-printable\n\nhid= \nden",  # blanks behind a soft line end
        b"Content-Transfer-Encoding: quoted-printable\n" + CODED + b"\n" + HIDDEN,
        b"Content-Transfer-Encoding: (really) base64\n\n" + HIDDEN,
        b'Content-Transfer-Encoding: "base64"\n\n' + HIDDEN,
        b"Content-Transfer-Encoding: base64, 8bit\n\n" + HIDDEN,
        b"Content-Type: multipart/mixed; boundary=.\n" + CODED + b"\naGlk\n--.\nZGVu\n--.--\n",  # whole, or in pieces
        b"Content-Type: (a) multipart/mixed; boundary=c\n\n--c\n" + CODED + b"\n" + HIDDEN,
        b"Content-Type: multipart/mixed; boundary=c; boundary=d\n\n--c\n\nx\n--d\n" + CODED + b"\n" + HIDDEN + b"\n--d--",
        b"Content-Type: message/rfc822\n" + CODED + b"\n" + CODED + b"\n" + HIDDEN,  # not decoded first
        b"Content-Type: multipart/mixed; boundary=c\n\n--c\n\nx\n--cd\n" + CODED + b"\n" + HIDDEN + b"\n--c--\n",
        b"Content-Type: multipart/mixed; boundary=.\n\n--.\n" + CODED + b"\naGlk\n--.!\nZGVu\n--.--\n",
    ],
)
def test_every_reading_of_a_part_is_scanned(outer: bytes, text: bytes) -> None:
    """Where mail programs read a header or a boundary in different ways, each way is taken."""
    assert b"hidden" in b"\n".join(contents(outer + text))


@pytest.mark.parametrize(
    "message",
    [
        b"X-A: " + b"x" * (1 << 20) + b"\n" + CODED + b"\n" + HIDDEN,
        b"rubbish " + b"x" * (1 << 20) + b"\n" + CODED + b"\n" + HIDDEN,
        b"Content-Type: a/b;" + b" x=y;" * 4000 + b" name=a.exe\n\nx",
        b"Content-Type: multipart/mixed" + b"".join(b"; boundary=%d" % n for n in range(9)) + b"\n\n--8\n\nx\n",
        b"Content-Disposition: attachment" + b"".join(b"; filename=%d" % n for n in range(500)) + b"\n\nx",
        b"".join(b"Content-Type: a/%d\nContent-Transfer-Encoding: %b\n" % (n, [b"base64", b"8bit"][n % 2]) for n in range(9)) + b"\nx",
    ],
    ids=["header", "rubbish", "value", "boundaries", "names", "readings"],
)
def test_what_is_beyond_the_limits_of_a_header_is_flagged(message: bytes) -> None:
    """Nothing is passed over in silence, in the message and in a part."""
    assert "limit" in [part.flag for part in parts(message)]
    assert "limit" in [part.flag for part in parts(HEAD + b"--b\n" + message)]


def test_ordinary_mail_has_one_reading() -> None:
    """Folded fields, a text that looks like a header: each part is scanned once."""
    text = b"Dear all,\nContent: none\n\nFrom: me\nNote: x\n"
    part = b"Content-Type: text/plain;\n\tcharset=utf-8\nContent-Disposition: attachment; filename=a.txt\n\n" + text
    for message in (HEAD + b"--b\n" + part + b"\n--b\n\n" + text + b"\n--b--\n", part):
        message = message.replace(b"\n", b"\r\n")
        found = contents(message)
        assert len(found) == message.count(b"Dear")
        assert len(found) == len(set(found)) or message.startswith(HEAD[:7])


def test_a_text_that_speaks_of_mime_has_one_reading() -> None:
    """A log of HTTP has thousands of such fields, and a report quotes a header with a name: no file is in them."""
    log = b"GET /a HTTP/1.1\nContent-Type: text/html\nContent-Length: 3\n\nx\n" * 3000
    quoted = b"Content-Type: a/b; name=setup.exe\nContent-Disposition: attachment; filename=setup.exe\n\n"

    assert [(part.names, part.flag) for part in parts(b"Subject: x\n\n" + log + quoted)] == [((), "")]


def test_hidden_headers_have_a_limit() -> None:
    """Each is decoded; what has more of them is flagged."""
    hidden = b"x\n\n" + CODED + b"\naGlkZGVu\n--b\n"

    assert "limit" not in [part.flag for part in parts(b"Subject: x\n\n" + hidden * 2000)]
    assert "limit" in [part.flag for part in parts(b"Subject: x\n\n" + hidden * 10_001)]


def test_nested_boundaries_that_begin_alike() -> None:
    """A longer boundary is not taken for the shorter one."""
    message = HEAD + b"--b\nContent-Type: multipart/mixed; boundary=bb\n\n--bb\n\none\n--bb\n\ntwo\n--bb--\n--b\n\nthree\n--b--\n"

    assert {b"one", b"two", b"three"} <= set(contents(message))


def test_uuencoded_files_in_a_text() -> None:
    """As mail was sent before MIME."""
    data = bytes(range(256))
    lines = b"".join(binascii.b2a_uu(data[at : at + 45]) for at in range(0, 256, 45))
    found = list(parts(b"Subject: x\n\nsee:\nbegin 644 a.exe\n" + lines + b"`\nend\nbegin 644 b.txt\n" + lines))

    assert [("a.exe", data), ("b.txt", data)] == [(part.names[0], part.data) for part in found[1:]]
    assert data == contents(b"Content-Transfer-Encoding: x-uuencode\n\nbegin 644 a.exe\n" + lines + b"`\nend\n")[0]


def test_uuencoded_files_in_a_file_of_an_archive() -> None:
    """A text that somebody packed."""
    text = b"see:\nbegin 644 a.exe\n" + binascii.b2a_uu(b"hidden") + b"`\nend\n"

    assert ("a.zip/notes.txt/a.exe", b"hidden") in [(part.place, part.data) for part in parts(attached("a.zip", zipped("notes.txt", text)))]


def test_zip_members_are_parts() -> None:
    """One level deep, with the path to them."""
    message = b"Content-Type: a/b; name=x.zip\nContent-Transfer-Encoding: base64\n\n" + base64.encodebytes(zipped("d/a.exe", b"hidden"))

    assert Part("x.zip/d/a.exe", ("a.exe",), "", b"hidden") == list(parts(message))[-1]


def attached(name: str, data: bytes) -> bytes:
    message = EmailMessage()
    message.set_content("see the file")
    message.add_attachment(data, "application", "octet-stream", filename=name)
    return message.as_bytes()


@pytest.mark.parametrize("name", ["mail.eml", "page.MHT", "cur/1700000000.M1.host:2,S"])
def test_messages_in_archives_are_opened(name: str) -> None:
    """By their name or by their first line; so are the archives in them, and the places show the way."""
    inner = attached("evil.zip", zipped("evil.exe", b"the data"))
    found = list(parts(attached("all.zip", zipped(name, inner))))

    assert [part.data for part in found if part.names == ("evil.exe",)] == [b"the data"]
    assert f"all.zip/{name}/evil.zip/evil.exe" in [part.place for part in found]
    assert f"all.zip/{name}/part 2" in [part.place for part in found]


def test_a_message_in_an_archive_needs_no_header_that_is_known() -> None:
    """Its name is enough; a text is none by its words alone."""
    assert "a.zip/b.eml/part 1" in [part.place for part in parts(attached("a.zip", zipped("b.eml", b"\nhello")))]
    assert [part.place for part in parts(attached("a.zip", zipped("b.txt", b"Dear all: hello")))][-1] == "a.zip/b.txt"


def mbox(count: int) -> bytes:
    """The last message has an attachment."""
    texts = [b"From ann@a.example Tue Nov 24 10:00:%02d 2026\nSubject: %d\n\ntext\n>From me\n\n" % (n % 60, n) for n in range(count - 1)]
    return b"".join(texts) + b"From bob Tue Nov 24 11:00:00 2026\n" + attached("evil.zip", zipped("evil.exe", b"the data"))


@pytest.mark.parametrize("packed", [True, False], ids=["in a zip", "attached"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"], ids=["LF", "CRLF"])
def test_all_messages_of_an_mbox_are_opened(packed: bool, end: bytes) -> None:
    """Whatever it is called; the first, and those behind it."""
    data = mbox(600).replace(b"\n", end)
    found = list(parts(attached("a.zip", zipped("old mail", data)) if packed else attached("old mail", data)))
    place = "a.zip/old mail" if packed else "old mail"

    assert {part.flag for part in found} == {""}
    assert [part.place for part in found if part.data == b"the data"] == [f"{place}/message 600/evil.zip/evil.exe"]
    assert f"{place}/message 300/part 1" in [part.place for part in found]


def test_what_is_an_archive_may_be_an_mbox_too() -> None:
    """A zip behind it does not hide it."""
    found = [part.place for part in parts(attached("m", mbox(2) + zipped("in.zip", b"x")))]
    assert {"m/in.zip"} < set(found)
    assert any(place.startswith("m/message 2") for place in found)


def test_an_mbox_has_the_limits_of_an_archive(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of messages and of nesting; what has too many is flagged once and ends."""
    monkeypatch.setattr(member, "MAX_MEMBERS", 50)
    assert [part.flag for part in parts(attached("a.zip", zipped("m", mbox(60)))) if part.flag] == ["limit"]
    assert [part.flag for part in parts(attached("m", mbox(60))) if part.flag] == ["limit"]

    started = time.monotonic()
    list(parts(attached("m", b"From a b\nX:\n" * 300_000)))
    assert time.monotonic() - started < 20


def test_many_messages_in_an_archive_are_no_trouble() -> None:
    """As when somebody sends a folder of his mail."""
    folder = {f"cur/{n}": attached("a.txt", b"x") for n in range(600)}

    assert {part.flag for part in parts(attached("all.zip", packed(folder)))} == {""}


def test_messages_in_archives_share_the_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the archive that they are in, of parts, of bytes and of nesting: a message in a zip in a message ... comes to an end."""
    nested = attached("x.eml", b"x")
    for _ in range(30):
        nested = attached("a.zip", zipped("m.eml", nested))
    assert [part.flag for part in parts(nested) if part.flag] == ["limit"]

    monkeypatch.setattr(member, "MAX_MEMBERS", 50)
    inner = attached("b.zip", packed({str(n): b"" for n in range(20)}))
    assert {part.flag for part in parts(attached("a.zip", packed({"1.eml": inner, "2.eml": inner})))} == {""}
    assert "limit" in [part.flag for part in parts(attached("a.zip", packed({f"{n}.eml": inner for n in range(3)})))]
    assert "limit" in [part.flag for part in parts(attached("a.zip", zipped("m.eml", HEAD + b"--b\n\nx\n" * 60)))]


def test_the_name_of_a_container_counts() -> None:
    """A multipart or a message may be shown as a file as well."""
    message = b'Content-Type: multipart/mixed; name=a.exe; boundary="b"\n\n--b\n\nbody\n--b--\n'

    assert [part.names for part in parts(message)] == [("a.exe",), ()]


@pytest.mark.parametrize("name", ["News from example.com", "setup.exe", "x.eml"])
def test_a_message_in_a_message_is_no_program(name: str) -> None:
    """Its name is often its subject. Programs store it as .eml; what is no message keeps its name."""
    head = f'Content-Type: message/rfc822; name="{name}"\nContent-Disposition: attachment; filename="{name}"\n\n'.encode()

    assert {name.removesuffix(".eml") + ".eml"} == {found for part in parts(head + b"Subject: x\n\nbody") for found in part.names}
    assert {name} == {found for part in parts(head + b"echo off\n") for found in part.names}


def test_nesting_has_a_limit() -> None:
    """The part that is too deep is flagged and handed out as it is."""
    message = b"Content-Type: message/rfc822\n\n" * 50 + b"hidden"

    assert [part.flag for part in parts(message)] == ["limit"]
    assert b"hidden" in contents(message)[0]


def test_the_number_of_parts_has_a_limit() -> None:
    """The last thing said is that there is more."""
    found = list(parts(HEAD + b"--b\n\nx\n" * 1500))

    assert boundaries.MAX_PARTS + 1 >= len(found) > 990
    assert found[-1].flag == "limit"


def test_base64_that_is_padded_in_each_line_is_no_bomb() -> None:
    """Some programs encode line by line, or chunk by chunk."""
    found = list(parts(b"Content-Transfer-Encoding: base64\n\n" + b"QUJD\nQQ==\n" * 100_000))

    assert found[0].data == b"ABCA" * 100_000
    assert {part.flag for part in found} == {""}


def test_decoded_bytes_have_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever comes after them is not looked at."""
    monkeypatch.setattr(mime, "MAX_DECODED", 5)
    assert [part.flag for part in parts(HEAD + b"--b\n\n1234567\n--b\n\n1\n--b--\n")] == ["", "limit"]


PIECES = st.sampled_from(
    [
        b"\n",
        b"\r\n",
        b"--b",
        b"--",
        b"--bb--",
        HEAD,
        b"Content-Type: message/rfc822",
        b"; boundary=",
        b"; name*0*=a'b'%4",
        b'"',
        b"=",
        b"\x00",
        b"\xff",
        b"begin 644 x",
        b"end",
        b"M1",
        b"Content-Transfer-Encoding: base64",
        b"Content-Type: ",
        b"multipart/x",
        b" ",
        b"PK\x03\x04",
        b"=?u?b?A?=",
        zipped("a", b"b"),
    ]
)


@given(st.lists(PIECES, max_size=40).map(b"".join))
@settings(max_examples=300, deadline=None)
def test_nothing_raises(message: bytes) -> None:
    """Whatever the bytes are, there is at least the whole of them."""
    assert list(parts(message)) or not message.strip() or b"--" in message or b"rfc822" in message


@pytest.mark.parametrize(
    "message",
    [
        HEAD + b"--b\x01\n" * 300_000,
        HEAD + b"--b\n" * 300_000,
        b"Content-Type: a/b" + b';a="\\' * 200_000 + b"\n\n",
        b"Content-Type: a/b; name=" + b"=?a?q?" * 200_000 + b"\n\n",
        b"Content-Transfer-Encoding: base64\n\n" + b"Q=" * 500_000,
        b"\nbegin 644 x\n" * 100_000,
        (b"Content-Type: message/rfc822\n\n" * 30) + b"x" * 1_000_000,
        b"a: b\n" * 200_000,
        b"\r\n \r\n" * 200_000,
    ],
)
def test_the_time_is_linear(message: bytes) -> None:
    """One megabyte made to be slow takes far less than the seconds that a quadratic reading would."""
    began = time.process_time()
    for _ in parts(message):
        pass

    assert time.process_time() - began < 2.0


@pytest.mark.parametrize("before", [b"", b"Subject: x\n", HEAD + b"--b\n", b"Content-Type: a/b; name=", CODED + b"\n"])
@pytest.mark.parametrize(
    "text",
    [
        *(b"a", b" ", b"\n", b"\r", b"a\n", b" \n", b": \n", b"a: b\n", b"\n--b", b"\n--bc\nx", b"--b\n", b"From a\n", b"\nbegin 644 a"),
        *(b"(", b"()", b'"', b"\\", b";", b"; a", b";a=", b"=?a?q?", b"=?a?b?a?= ", b"=\n", b"=", b"%4", b"''", b"\nContent-Type: ("),
    ],
)
def test_twice_as_much_takes_twice_as_long(before: bytes, text: bytes) -> None:
    """Wherever it is: no pattern goes over the same bytes again and again."""
    assert is_linear(lambda size: list(parts(before + text * (size // len(text)))), 1 << 18)
