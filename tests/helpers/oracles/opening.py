"""Find the programs that open the payload of a message: readers of mail, and unpackers on the files that these find."""

from collections.abc import Collection, Sequence
from pathlib import PurePosixPath

from tests.helpers.oracles.readers import File, readers
from tests.helpers.oracles.unpackers import unpackers
from tests.helpers.wrappings.base import PAYLOADS

__all__ = ["is_payload", "opened"]

ROUNDS = 5
"""Depth to which archives in archives and messages in archives are opened."""
SMALLEST = 16
LARGEST = 1 << 20
"""Bytes of the smallest file that is opened further."""
_MAIL = (".eml", ".mht", ".mhtml")
_EICAR, _PROGRAM, _NAME = PAYLOADS


def is_payload(file: File) -> bool:
    """Return whether a program that finds this file has opened one of the payloads."""
    name = file.name.replace("\\", "/").rsplit("/", 1)[-1].partition("\0")[0].rstrip(" .").lower()
    return bool(file.data) and (name == _NAME.file or _EICAR.data in file.data or file.data.startswith(_PROGRAM.data[:64]))


def opened(messages: Sequence[bytes], thorough: bool = False, only: Collection[str] = ()) -> list[list[str]]:
    """Return for each message the programs, or chains of programs, that open the payload. A found payload is not opened further.

    `thorough`: ask all programs, even after one has opened it. `only`: ask only these programs.
    """
    opening = _Opening(len(messages), thorough, only)
    opening.read([(message, number, "") for number, message in enumerate(messages)])
    for _ in range(ROUNDS):
        if not opening.further():
            break
    return [list(chains) for chains in opening.found]


class _Opening:
    """The findings so far, and the files that wait to be opened, each with its messages and the way to it."""

    def __init__(self, count: int, thorough: bool, only: Collection[str]) -> None:
        self._thorough = thorough
        self._readers = [reader for reader in readers() if not only or reader.name in only]
        self._unpackers = [unpacker for unpacker in unpackers() if not only or unpacker.name in only]
        self.found: list[dict[str, None]] = [{} for _ in range(count)]
        self._waiting: dict[File, dict[int, str]] = {}
        self._seen: list[set[File]] = [set() for _ in range(count)]
        self._known: dict[tuple[str, File], list[File]] = {}

    def read(self, messages: Sequence[tuple[bytes, int, str]]) -> None:
        """Have all readers read these messages, each with the number of its case and the way to it."""
        for reader in self._readers:
            todo = [each for each in messages if self._thorough or not self.found[each[1]]]
            answers = reader.read([message for message, _, _ in todo]) if todo else []
            for (_, number, before), files in zip(todo, answers, strict=True):
                for file in files:
                    self._note(file, number, before + reader.name)

    def further(self) -> bool:
        """Have the waiting files opened; return whether there were any."""
        todo = dict[File, dict[int, str]]()
        for file, owners in self._waiting.items():
            if left := {number: chain for number, chain in owners.items() if not self.found[number] and file not in self._seen[number]}:
                todo[file] = left
                for number in left:
                    self._seen[number].add(file)
        self._waiting = {}
        self._unpack(todo)
        mails = ((file, owner) for file, owners in todo.items() if file.name in _MAIL for owner in owners.items())
        self.read([(file.data, number, f"{chain} > ") for file, (number, chain) in mails])
        return bool(todo)

    def _unpack(self, todo: dict[File, dict[int, str]]) -> None:
        for unpacker in self._unpackers:
            files = [file for file, owners in todo.items() if self._thorough or not all(self.found[number] for number in owners)]
            new = [file for file in files if (unpacker.name, file) not in self._known]
            for file, inner in zip(new, unpacker.unpack(new), strict=True):
                self._known[unpacker.name, file] = inner
            for file in files:
                for each in self._known[unpacker.name, file]:
                    for number, chain in todo[file].items():
                        self._note(each, number, f"{chain} > {unpacker.name}")

    def _note(self, file: File, number: int, chain: str) -> None:
        if is_payload(file):
            self.found[number][chain] = None
        elif SMALLEST < len(file.data) < LARGEST:
            kept = file._replace(name=PurePosixPath(file.name).suffix.lower())
            self._waiting.setdefault(kept, {}).setdefault(number, chain)
