"""Read the macros in Office files with oletools' olevba. It is imported at the first such file only: that takes 0.3 s and 30 MB.

Every OLE file is read: .doc, .xls and .ppt are such files; .docm, .xlsm and .pptm are archives that contain one. Word 2003
XML is read, too. Without oletools (the extra `office`) no macros are found. olevba runs in a child process with limits
(apart.py): small files can make it use a gigabyte, or minutes.
"""

import functools
import importlib.util
import warnings
from importlib import import_module
from typing import Any, BinaryIO

from filterlink.filters.runtime.apart import ChildOutput, apart
from filterlink.filters.runtime.child import ChildLimits
from filterlink.filters.runtime.standstill import used

__all__ = ["Macros", "available", "is_office"]

MAX_CODE = 8 << 20
"""Bytes of macros that are read from one file; large projects have some hundred thousand."""
MAX_SECONDS = 10.0
"""Seconds of processor time for all Office files of one message, and of time without standstills for each; large ones take 2 s."""
MAX_MEMORY = 512 << 20
"""Bytes for one file, plus twice its size, beyond the memory of the message."""
MAX_NAMED = 4
"""Limit of the size of all streams of an OLE file, as a multiple of the file: streams that share no bytes have at most its size once."""
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_WORD_2003 = b"http://schemas.microsoft.com/office/word/2003/wordml"


def available() -> bool:
    return importlib.util.find_spec("oletools") is not None


def is_office(data: bytes) -> bool:
    return data.startswith(_OLE) or data.find(_WORD_2003, 0, 4096) >= 0


class Macros:
    """Reads the macros of one message's files, within the time."""

    def __init__(self) -> None:
        self._left = MAX_SECONDS

    def read(self, data: bytes) -> ChildOutput:
        """Return the source of all macros in a file, b"" if there are none, and the flag.

        broken: olevba ended with an error; limit: it took too long or too much memory, or there are more macros. Raises only OSError, if
        no process can be started.
        """
        if not is_office(data) or (olevba := _olevba()) is None:
            return ChildOutput(b"", "")
        if self._left <= 0:
            return ChildOutput(b"", "limit")
        began = used()
        done = apart(functools.partial(_read, olevba, data), ChildLimits(self._left, int(self._left) + 1, MAX_MEMORY + 2 * len(data)))
        self._left -= used() - began
        return done if len(done.output) <= MAX_CODE else ChildOutput(done.output[:MAX_CODE], "limit")


def _read(olevba: Any, data: bytes, file: BinaryIO) -> None:
    """Write the modules in the child as they are found; Excel 4 macros appear only after a search for them."""
    with warnings.catch_warnings(action="ignore"):
        parser = olevba.VBA_Parser("part", data=data, disable_pcode=True)
        size = 0
        if parser.ole_file and _named(parser.ole_file) > MAX_NAMED * len(data):
            raise MemoryError
        parser.detect_macros()
        for *_, module in parser.extract_macros():
            size += file.write(str(module).encode("utf-8", "replace") + b"\n")
            if size > MAX_CODE:
                return


def _named(ole: Any) -> int:
    """Return the bytes of all streams that the directory of an OLE file names; olevba reads them all, also those outside of the tree."""
    return sum((entry or ole._load_direntry(number)).size for number, entry in enumerate(ole.direntries))


@functools.cache
def _olevba() -> Any:
    try:
        with warnings.catch_warnings(action="ignore"):
            return import_module("oletools.olevba")
    except ImportError:
        return None
