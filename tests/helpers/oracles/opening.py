"""Which programs open the payload of a message: the readers of mail, and the unpackers on what these find."""

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

from tests.helpers.oracles.readers import File, readers
from tests.helpers.oracles.unpackers import unpackers
from tests.helpers.wrappings.base import PAYLOADS

__all__ = ["Case", "is_payload", "opened"]

ROUNDS = 5
"""How deep archives in archives and messages in archives are opened."""
LARGEST = 1 << 20
"""Bytes of a file that is opened further."""
_MAIL = (".eml", ".mht", ".mhtml")
_EICAR, _PROGRAM, _NAME = PAYLOADS


class Case(NamedTuple):
    """A message, and whether archives in it are opened."""

    message: bytes
    deep: bool = True


def is_payload(file: File) -> bool:
    """Whether a program that finds this file has opened one of the payloads."""
    name = file.name.replace("\\", "/").rsplit("/", 1)[-1].partition("\0")[0].rstrip(" .").lower()
    return bool(file.data) and (name == _NAME.file or _EICAR.data in file.data or file.data.startswith(_PROGRAM.data[:64]))


def opened(cases: Sequence[Case], thorough: bool = False) -> list[list[str]]:
    """For each message the programs, or chains of them, that open the payload. What is opened is not opened further.

    `thorough`: all unpackers are asked, not only until one opens it.
    """
    found: list[dict[str, None]] = [{} for _ in cases]
    waiting: dict[File, dict[int, str]] = {}
    _read([(case.message, number, "") for number, case in enumerate(cases)], found, waiting, cases)
    known: set[File] = set()
    for _ in range(ROUNDS):
        todo = dict[File, dict[int, str]]()
        for file, owners in waiting.items():
            if left := {number: chain for number, chain in owners.items() if not found[number] and file not in known}:
                todo[file] = left
        known |= waiting.keys()
        waiting = {}
        if not todo:
            break
        _unpack(todo, found, waiting, thorough)
        mails = [(file.data, number, f"{chain} > ") for file, owners in todo.items() if _is_mail(file) for number, chain in owners.items()]
        _read(mails, found, waiting, cases)
    return [list(chains) for chains in found]


Found = list[dict[str, None]]
Waiting = dict[File, dict[int, str]]


def _read(messages: Sequence[tuple[bytes, int, str]], found: Found, waiting: Waiting, cases: Sequence[Case]) -> None:
    for reader in readers() if messages else ():
        answers = reader.read([message for message, _, _ in messages])
        for (_, number, before), files in zip(messages, answers, strict=True):
            for file in files:
                _note(file, number, before + reader.name, found, waiting, cases[number].deep)


def _unpack(todo: Waiting, found: Found, waiting: Waiting, thorough: bool) -> None:
    for unpacker in unpackers():
        files = [file for file, owners in todo.items() if thorough or not all(found[number] for number in owners)]
        for file, inner in zip(files, unpacker.unpack(files), strict=True):
            for each in inner:
                if each.data != file.data:
                    for number, chain in todo[file].items():
                        _note(each, number, f"{chain} > {unpacker.name}", found, waiting, True)


def _note(file: File, number: int, chain: str, found: Found, waiting: Waiting, deep: bool) -> None:
    if is_payload(file):
        found[number][chain] = None
    elif deep and 60 < len(file.data) < LARGEST:
        waiting.setdefault(file._replace(name=PurePosixPath(file.name).suffix.lower()), {}).setdefault(number, chain)


def _is_mail(file: File) -> bool:
    return file.name in _MAIL
