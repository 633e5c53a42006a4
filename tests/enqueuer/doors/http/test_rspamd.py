"""rspamd's protocols: by http.client, by Debian's rspamc, and Exim's text protocol by hand."""

import json
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest

from enqueuer.log.facts import Verdicts
from enqueuer.queue.message.client import NOBODY
from filterlink.filters.servers.rspamdwire import read_result
from filterlink.wire.frames import AnswerKind, FilterAnswer
from tests.enqueuer.doors.http.test_session import MAIL, ask
from tests.helpers.httpdoor import decision, served

CAUGHT = Verdicts({"First": FilterAnswer(AnswerKind.OK), "VirusScan": FilterAnswer(AnswerKind.ERROR, "Eicar")}, {})


def test_the_answer_has_what_clients_of_rspamd_read() -> None:
    with served() as (door, port):
        document = ask(int(port), "POST", "/checkv2", MAIL, From="<ann@a.example>", Rcpt="<bob@b.example>", Queue_Id="17")[2]
        assert (document["action"], document["score"], document["required_score"]) == ("no action", 0.0, 15.0)
        assert document["milter"]["add_headers"] == {
            "X-Second": {"value": "b\n\tfolded", "order": 0},
            "X-First": {"value": "a", "order": 1},
        }
        assert (document["message-id"], document["messages"], document["is_skipped"]) == ("a@b", {}, False)
        assert document["symbols"]["VirusScan"] == {"name": "VirusScan", "score": 0.0, "metric_score": 0.0, "description": "OK"}
        mail = door.mails[0].mail
        assert (mail.sender, mail.recipients, mail.queue_id) == (b"ann@a.example", (b"bob@b.example",), b"17")
        assert read_result(json.dumps(document).encode()).action == "no action"  # our own filter for rspamd


@pytest.mark.parametrize(
    ("action", "word", "score"),
    [("reject", "reject", 15.0), ("tempfail", "soft reject", 0.0), ("discard", "discard", 15.0), ("quarantine", "quarantine", 15.0)],
)
def test_each_action_has_a_word_of_rspamd(action: Any, word: str, score: float) -> None:
    with served() as (door, port):
        door.decide = lambda _: decision(action=action, text="a virus\nof two lines", verdicts=CAUGHT, fields=())
        for path in ("/checkv2", "/check"):
            document = ask(int(port), "POST", path, MAIL)[2]
            assert (document["action"], document["score"]) == (word, score)
            assert document["messages"] == {"smtp_message": "a virus of two lines"}
            assert [each["score"] for each in document["symbols"].values()] == [0.0, score]


def test_changes_that_rspamd_knows() -> None:
    """The first Subject is removed, and the new one added. Other recipients cannot be said, so the message is deferred."""
    with served() as (door, port):
        door.decide = lambda _: decision(changes=((b"Subject", b"[X] hello"),), fields=())
        document = ask(int(port), "POST", "/checkv2", MAIL)[2]
        assert document["milter"] == {"add_headers": {"Subject": {"value": "[X] hello", "order": 0}}, "remove_headers": {"Subject": 1}}
        door.decide = lambda _: decision(removed=(b"bob@b.example",), recipients=(b"n@n.example",))
        document = ask(int(port), "POST", "/checkv2", MAIL)[2]
        assert (document["action"], "milter" in document) == ("soft reject", False)
        assert "which this protocol cannot say" in document["messages"]["smtp_message"]


@pytest.mark.parametrize("name", ["File", "Path", "Shm", "Shm-Offset", "Shm-Length", "Settings", "Settings-Id", "Key", "Compression"])
def test_what_names_files_or_settings_is_refused(name: str) -> None:
    with served() as (door, port):
        status, _, document = ask(int(port), "POST", "/checkv2", MAIL, **{name: "/etc/passwd"})
        assert status in (400, 415)
        assert document["action"] == "soft reject"
        assert not door.mails


def test_the_client_counts_on_a_unix_socket_or_with_the_token_only(tmp_path: Path) -> None:
    facts = {"IP": "192.0.2.1", "Helo": "h", "Hostname": "n.example", "User": "ann"}
    with served() as (door, port):
        ask(int(port), "POST", "/checkv2", MAIL, **facts)
        assert door.mails[0].mail.client == NOBODY
        door.token = b"secret"
        ask(int(port), "POST", "/checkv2", MAIL, Password="secret", **facts)
        assert (door.mails[1].mail.client.address, door.mails[1].mail.client.account) == ("192.0.2.1", b"ann")
    with served(tmp_path / "s") as (door, path), socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(10)
        sock.connect(path)
        sock.sendall(b"POST /checkv2 HTTP/1.0\r\nIP: 192.0.2.1\r\nHelo: h\r\nUser: ann b\r\nContent-Length: 4\r\n\r\nabcd")
        assert b" 200 " in sock.recv(65536)
        client = door.mails[0].mail.client
        assert (client.address, client.helo, client.account) == ("192.0.2.1", b"h", b"")  # an account has no blanks


EXIM = b"""CHECK RSPAMC/1.3\r
Content-length: 4\r
Queue-Id: 1abc-000-00\r
From: <ann@a.example>\r
Recipient-Number: 2\r
Rcpt: <bob@b.example>\r
Rcpt: <carl@c.example>\r
Helo: mx.a.example\r
IP: 192.0.2.1\r
\r
abcd"""


def exchange(path: str, data: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(10)
        sock.connect(path)
        for at in range(0, len(data), 3):  # the first line comes in pieces, too
            sock.sendall(data[at : at + 3])
        return b"".join(iter(lambda: sock.recv(65536), b""))


def test_exims_text_protocol(tmp_path: Path) -> None:
    with served(tmp_path / "s") as (door, path):
        assert exchange(path, EXIM) == (
            b"RSPAMD/1.3 0 EX_OK\r\nMetric: default; False; 0.00 / 15.00 / 15.00\r\nAction: no action\r\n"
            b"Message-ID: undef\r\nSymbol: VirusScan(0.00)\r\nX-Milter-Add: X-First: a\r\nX-Milter-Add: X-Second: b folded\r\n"
        )
        mail = door.mails[0].mail
        assert (mail.sender, mail.recipients, mail.queue_id) == (b"ann@a.example", (b"bob@b.example", b"carl@c.example"), b"1abc-000-00")
        assert (mail.client.address, mail.client.helo) == ("192.0.2.1", b"mx.a.example")
        door.decide = lambda _: decision(action="reject", text="Eicar", verdicts=CAUGHT, fields=())
        assert exchange(path, EXIM) == (
            b"RSPAMD/1.3 0 EX_OK\r\nMetric: default; True; 15.00 / 15.00 / 15.00\r\nAction: reject\r\nMessage: Eicar\r\n"
            b"Message-ID: undef\r\nSymbol: First(0.00)\r\nSymbol: VirusScan(15.00)\r\n"
        )


def test_exim_gets_no_score_where_there_is_no_decision(tmp_path: Path) -> None:
    with served(tmp_path / "s") as (door, path):
        door.full = "the disk is full"
        assert exchange(path, EXIM) == b"RSPAMD/1.3 75 the disk is full\r\n"
        door.full = ""
        assert exchange(path, b"CHECK RSPAMC/1.3\r\nnonsense\r\n\r\n").startswith(b"RSPAMD/1.3 75 ")
        door.decide = lambda _: decision(fields=(b"X-Long: " + b"a" * 40_000, b"X: b"))
        answer = exchange(path, EXIM)
        assert b"X-Milter-Add: X: b\r\n" in answer
        assert b"X-Long" not in answer  # Exim has no room for it


@pytest.mark.server
def test_rspamc_is_answered() -> None:
    assert shutil.which("rspamc")
    with served() as (door, port):
        door.token = b"secret"
        door.decide = lambda _: decision(action="reject", text="Eicar", verdicts=CAUGHT)
        rspamc = ("rspamc", "-h", f"127.0.0.1:{port}", "-P", "secret", "-F", "ann@a.example", "-r", "bob@b.example", "-i", "192.0.2.1")
        answer = subprocess.run(rspamc, input=MAIL, capture_output=True, check=True).stdout.decode()
        assert "Action: reject\nSpam: true\nScore: 15.00 / 15.00\nSymbol: First" in answer
        assert "smtp_message: Eicar" in answer or "Eicar" in answer
        mail = door.mails[0].mail
        assert (mail.sender, mail.recipients, mail.client.address) == (b"ann@a.example", (b"bob@b.example",), "192.0.2.1")
        wrong = subprocess.run(("rspamc", "-h", f"127.0.0.1:{port}", "-z"), input=MAIL, capture_output=True, check=False)
        assert b"Action" not in wrong.stdout
        ping = subprocess.run(("curl", "-sS", f"http://127.0.0.1:{port}/ping"), capture_output=True, check=True)
        assert ping.stdout == b"pong\r\n"
