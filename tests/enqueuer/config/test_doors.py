"""[[doors]] tables: what is taken, and what an administrator reads about a wrong one."""

from importlib import resources

import pytest

from enqueuer.config import schema
from enqueuer.config.doors import Door, ListenAddress
from enqueuer.config.lint import warnings
from enqueuer.config.schema import ConfigError

BASE = 'rules = []\n[[routes]]\nrecipient = "*"\nto = "OUT"\n'
DOOR = '[[doors]]\nname = "postfix"\nkind = "milter"\nlisten = "inet:127.0.0.1:8891"\n'


def test_a_door_has_the_defaults_of_the_default_file() -> None:
    (door,) = schema.load((BASE + DOOR).encode()).doors
    assert float(door.answer_within) == 100
    assert (str(door.on_late), str(door.on_failure), str(door.on_caught), door.max_sessions) == ("defer", "defer", "reject", 1000)
    assert (door.listen.host, door.listen.port, door.listen.path, door.mode) == ("127.0.0.1", 8891, "", "0660")


@pytest.mark.parametrize(
    ("text", "host", "port", "path", "private"),
    [
        ("inet:127.0.0.1:25", "127.0.0.1", 25, "", True),
        ("inet:localhost:25", "127.0.0.1", 25, "", True),
        ("inet:[::1]:25", "::1", 25, "", True),
        ("inet:0.0.0.0:25", "0.0.0.0", 25, "", False),
        ("unix:Run/milter.sock", "", 0, "Run/milter.sock", True),
        ("unix:/run/x/m.sock", "", 0, "/run/x/m.sock", True),
    ],
)
def test_addresses(text: str, host: str, port: int, path: str, private: bool) -> None:
    found = ListenAddress.parse(text)
    assert (found.host, found.port, found.path, found.is_private) == (host, port, path, private)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('listen = "8891"', 'door "postfix": listen'),
        ('listen = "inet:127.0.0.1"', 'write "inet:127.0.0.1:8891" or "unix:PATH"'),
        ('listen = "inet:127.0.0.1:70000"', 'write "inet:127.0.0.1:8891" or "unix:PATH"'),
        ('listen = "inet:mail.example:25"', "write an IP address"),
        ('listen = "unix:"', "1 to 107 bytes"),
        (f'listen = "unix:/{"x" * 107}"', "1 to 107 bytes"),
        ('kind = "smtp"', 'write one of "milter", "http"'),
        ('on_late = "reject"', 'write one of "defer", "pass", "quarantine"'),
        ('on_caught = "pass"', 'write one of "reject", "quarantine", "discard"'),
        ('answer_within = "300s"', "the MTA waits for 300 s"),
        ('mode = "rw"', "octal digits"),
        ("max_sessions = 0", "from 1 to 100000"),
        ('token_file = "x"', "only a door of kind http"),
        ('name = "a b"', "letters, digits"),
        ("colour = 1", "no such key"),
    ],
)
def test_what_is_wrong_is_named_with_its_cure(line: str, says: str) -> None:
    key = line.partition(" ")[0]
    text = "\n".join(line if each.startswith(f"{key} =") else each for each in DOOR.splitlines())
    text += "" if f"\n{key} =" in DOOR else f"\n{line}"
    with pytest.raises(ConfigError, match=r"enqueuer\.toml") as caught:
        schema.load((BASE + text + "\n").encode())
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_two_doors_need_two_names_and_two_addresses() -> None:
    with pytest.raises(ConfigError, match="is there twice"):
        schema.load((BASE + DOOR + DOOR).encode())
    with pytest.raises(ConfigError, match='door "postfix" listens there'):
        schema.load((BASE + DOOR + DOOR.replace("postfix", "other")).encode())
    with pytest.raises(ConfigError, match="engine's own door"):
        schema.load((BASE + DOOR.replace("postfix", "scan")).encode())


def test_the_default_file_shows_each_key_with_its_default() -> None:
    text = resources.files("enqueuer.config").joinpath("default.toml").read_text()
    lines = text[text.index("# [[doors]]") :].splitlines()
    shown = "\n".join(line.removeprefix("# ") for line in lines)
    config = schema.load(f"{BASE}{shown}".encode())
    needed = Door(name="postfix", kind="milter", listen=ListenAddress("inet:127.0.0.1:8891"))
    assert config.doors == (needed,)
    assert all(f"# {key} = " in text for key in Door.__struct_fields__)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('listen = "inet:0.0.0.0:8891"', "other machines reach it"),
        ('listen = "unix:x"\nmode = "0666"', "every account of this machine"),
        ('on_late = "pass"', '"pass": mail goes on'),
        ('on_failure = "pass"', '"pass": mail goes on'),
        ('answer_within = "1s"', "shorter than the timeout of Scan"),
    ],
)
def test_what_is_doubtful_is_a_warning(line: str, says: str) -> None:
    key = line.partition(" ")[0]
    door = "".join(f"{each}\n" for each in DOOR.splitlines() if not each.startswith(f"{key} ="))
    filter = '[[filters]]\nname = "Scan"\nprogram = "true"\ntimeout = "20s"\non_failure = "quarantine"\n'
    found = warnings(schema.load(f"{BASE}{filter}{door}{line}\n".encode()))
    assert any(says in each for each in found)
    assert not any(says in each for each in warnings(schema.load(f"{BASE}{filter}{DOOR}".encode())))
