"""The doors in `status`."""

from enqueuer.cli._doorview import door_lines

DOOR = {"name": "postfix", "kind": "milter", "listen": "inet:127.0.0.1:8891", "sessions": 2, "oldest_s": 61.0, "asked": 3, "turned_away": 1}
COUNTS = {"accepted": 1, "refused": 2, "tempfailed": 0, "discarded": 0, "quarantined": 0, "cancelled": 4}


def test_each_door_has_its_sessions_and_its_answers() -> None:
    (label, sessions), (blank, answers) = door_lines([DOOR | COUNTS])
    assert (label, blank) == ("Door postfix", "")
    assert sessions.startswith("milter on inet:127.0.0.1:8891: 2 sessions, the oldest for ")
    assert sessions.endswith("1 turned away")
    assert answers == "answered 3: 1 accepted, 2 rejected; 4 cancelled by the client"
