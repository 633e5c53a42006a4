"""The words of rules: what conditions may ask, their operations, and the actions. Pure.

The parser, the compiler, the importer and docs/rules.md all read these tables. A word that is not here does not exist.
"""

from typing import Literal, NamedTuple

__all__ = [
    "ACCOUNT_ACTIONS",
    "ACCOUNT_DATA",
    "ACTIONS",
    "BY_NAME",
    "BY_WORD",
    "DATA",
    "OPERATIONS",
    "ActionWord",
    "Datum",
    "Operation",
    "Parameter",
]

Operation = Literal["", "is", "is not", "in", "not in", "less than", "greater than"]
"""The operation of a condition; "" = the condition has none (Human Generated)."""
Kind = Literal["text", "address", "network", "size", "number", "date", "day", "time", "verdict", "flag"]
OPERATIONS: dict[Kind, tuple[Operation, ...]] = {
    "text": ("is", "is not", "in", "not in"),
    "address": ("is", "is not", "in", "not in"),
    "network": ("is", "is not", "in", "not in"),
    "size": ("is", "is not", "less than", "greater than"),
    "number": ("is", "is not", "less than", "greater than"),
    "date": ("is", "in", "less than", "greater than"),
    "day": ("is", "in", "less than", "greater than"),
    "time": ("is", "in", "less than", "greater than"),
    "verdict": ("is", "in"),
    "flag": ("",),
}
Absent = Literal["negative", "never", "empty", "always there"]
"""What holds if the message does not have the value.

negative: `is not` and `not in` are met, the others are not. never: no operation is met. empty: it compares as the empty string.
"""


class Datum(NamedTuple):
    """One thing that a condition may ask about."""

    name: str
    """In the arrays, and in CommuniGate Pro. With `quantified`, "Any " or "Each " comes before it."""
    word: str
    """In `when`."""
    kind: Kind
    absent: Absent
    meaning: str
    quantified: bool = False
    """`any` or `each` must come before it."""
    argument: bool = False
    """It has a name in brackets: header("Subject"), "Header Field(Subject)"; for Header Field it may be left out of the arrays."""
    ours: bool = False
    """CommuniGate Pro does not have it."""


DATA: tuple[Datum, ...] = (
    Datum("From", "from", "address", "negative", "the address in the From field"),
    Datum("Sender", "sender", "address", "negative", "the address in the Sender field"),
    Datum("To", "to", "address", "never", "the addresses in the To fields; it is met if one of them fits"),
    Datum("Cc", "cc", "address", "never", "the addresses in the Cc fields; it is met if one of them fits"),
    Datum("Reply-To", "reply_to", "address", "never", "the addresses in the Reply-To fields; it is met if one of them fits"),
    Datum("To or Cc", "to_or_cc", "address", "negative", "the addresses in the To and Cc fields", quantified=True),
    Datum("Return-Path", "return_path", "address", "empty", "the sender of the envelope"),
    Datum("'From' Name", "from_name", "text", "negative", "the display name in the From field, decoded"),
    Datum("Subject", "subject", "text", "negative", "the subject, decoded"),
    Datum("Message-ID", "message_id", "text", "negative", "the Message-ID field"),
    Datum("Message Size", "size", "size", "always there", "bytes of the message without the envelope; units K, M and G"),
    Datum(
        "Human Generated",
        "human",
        "flag",
        "always there",
        "no field says that a program or a list sent the message, and the envelope has a sender",
    ),
    Datum("Header Field", "header", "text", "negative", "a field of the header, also one that a filter or a rule added", argument=True),
    Datum("Recipient", "recipient", "address", "always there", "envelope recipients, or the ORCPT of known senders", quantified=True),
    Datum("Route", "route", "text", "always there", "MODULE(queue)address of the recipients, after routing", quantified=True),
    Datum("Source", "source", "text", "empty", "trusted: the client is in `networks`; authenticated: it logged in"),
    Datum("Submit Address", "submit_address", "text", "always there", "how it came: SMTP [address], MILTER [address], PIPE, DSN, SRULE"),
    Datum("Security", "security", "text", "empty", "encrypted, signed, and the version of TLS"),
    Datum("Current Date", "date", "date", "always there", "the date and time now"),
    Datum("Current Day", "day", "day", "always there", "the day of the week now: Mon, Tue, Wed, Thu, Fri, Sat, Sun"),
    Datum("Time Of Day", "time_of_day", "time", "always there", "the time of day now, as 17:30"),
    Datum("Client Address", "client", "network", "negative", "the IP address of the client; networks fit, too", ours=True),
    Datum("Attachment Name", "attachment_name", "text", "negative", "file names, also in archives", quantified=True, ours=True),
    Datum(
        "Attachment Type", "attachment_type", "text", "negative", "types of files by content: application/zip", quantified=True, ours=True
    ),
    Datum("Verdict", "verdict", "verdict", "never", "the answer of a filter that was asked before", argument=True, ours=True),
    Datum("Score", "score", "number", "never", "the score in the answer of a filter that was asked before", argument=True, ours=True),
    Datum(
        "Attempts", "attempts", "number", "always there", "how many failures of processes and helpers are charged to the message", ours=True
    ),
    Datum("Digest", "digest", "text", "always there", "SHA-256 of the message, 64 hexadecimal digits", ours=True),
    Datum("Ambiguous", "ambiguous", "flag", "always there", "mail programs read its MIME structure in different ways", ours=True),
)
BY_WORD = {datum.word: datum for datum in DATA}
BY_NAME = {datum.name: datum for datum in DATA}
ACCOUNT_DATA = ("Existing Mailbox", "Preference", "FreeBusy")
"""Conditions that only account rules of CommuniGate Pro have."""

Parameter = Literal["none", "filter", "text", "time", "duration", "fields", "addresses", "module", "program", "list"]


class ActionWord(NamedTuple):
    """One action."""

    name: str
    parameter: Parameter
    meaning: str
    optional: bool = False
    """The parameter may be left out."""
    ends: bool = False
    """No later action and no later rule is reached."""
    ours: bool = False
    """CommuniGate Pro does not have it."""


ACTIONS: dict[str, ActionWord] = {
    each.name: each
    for each in (
        ActionWord("ExternalFilter", "filter", "asks the filter once; its verdict decides; a disabled filter is passed over"),
        ActionWord("Stop Processing", "none", "no later rule is tried; the message goes on", ends=True),
        ActionWord("Discard", "none", "removes the message", ends=True),
        ActionWord("Reject with", "text", "refuses the message with this text, or reports it to the sender", optional=True, ends=True),
        ActionWord("Quarantine", "text", "puts the message into Quarantine with this reason", optional=True, ends=True, ours=True),
        ActionWord("Hold until", "time", "puts the message on hold until this time", ends=True, ours=True),
        ActionWord(
            "Hold for",
            "duration",
            "puts the message on hold for this time; without it, until a release",
            optional=True,
            ends=True,
            ours=True,
        ),
        ActionWord("Add Header", "fields", "adds header fields, which later rules can read"),
        ActionWord("Tag Subject", "text", "writes the text before the subject, once"),
        ActionWord("Mirror to", "addresses", "sends a copy to these addresses, with the same envelope sender and header"),
        ActionWord("Redirect To", "addresses", "sends the message to these addresses instead; the header stays"),
        ActionWord("Forward to", "addresses", "sends the message to these addresses in a new message"),
        ActionWord("Route to", "module", "puts the message into this module queue instead of that of [[routes]]", ours=True),
        ActionWord("Reply with", "text", "answers a message that a person wrote; each sender gets one answer a day"),
        ActionWord("Execute", "program", "runs a program; after another exit code than 0, on_failure of the rule follows"),
        ActionWord("Remember 'From' in", "list", "adds the address of the From field to a list, for trusted or authenticated mail only"),
        ActionWord("Write To Log", "text", "writes the text to the log", ours=True),
    )
}
ALIASES = {"Remember in": "Remember 'From' in", "Redirect to": "Redirect To", "Forward To": "Forward to", "Mirror To": "Mirror to"}
"""Other spellings of actions that are understood."""
ACCOUNT_ACTIONS = {
    "Store in": "Route to",
    "Store Encrypted in": "Route to",
    "Copy Attachments into": "Execute",
    "Mark": "Add Header",
    "Send IM": "Execute",
    "Execute URL": "Execute",
    "FingerNotify": "Execute",
    "Accept Request": "Execute",
    "React with": "Reply with",
    "Reply to All with": "Reply with",
}
"""Actions that only account rules of CommuniGate Pro have, and what to use instead."""
