"""The macros in Office files, by oletools' olevba. It is imported at the first such file only: that takes 0.3 s and 30 MB.

Every OLE file is looked at: .doc, .xls and .ppt are one, .docm, .xlsm and .pptm are archives that hold one. So is Word 2003
XML. Without oletools (the extra `office`) there are no macros to be seen. olevba runs in a child process with limits
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
"""Of processor time for all Office files of one message, and for each as long as we do not stand still; large ones take 2 s."""
MAX_MEMORY = 512 << 20
"""Bytes for one file, and twice its size, beside what the message takes."""
MAX_NAMED = 4
"""How many times the size of an OLE file its streams may have together; where they share no bytes they have it once."""
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_WORD_2003 = b"http://schemas.microsoft.com/office/word/2003/wordml"


def available() -> bool:
    return importlib.util.find_spec("oletools") is not None


def is_office(data: bytes) -> bool:
    return data.startswith(_OLE) or data.find(_WORD_2003, 0, 4096) >= 0


class Macros:
    """Reads the macros of one message's files, as long as there is time."""

    def __init__(self) -> None:
        self._left = MAX_SECONDS

    def read(self, data: bytes) -> ChildOutput:
        """Give the source of all macros in a file, b"" where there are none, and the flag.

        broken: olevba ended with an error; limit: it took too long or too much memory, or there is more than that. Never raises
        but OSError where no process can be started.
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
    """In the child: write the modules as they are found; Excel 4 macros appear only after they were looked for."""
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
    """Bytes of all streams that the directory of an OLE file names; olevba reads them all, those outside of the tree as well."""
    return sum((entry or ole._load_direntry(number)).size for number, entry in enumerate(ole.direntries))


@functools.cache
def _olevba() -> Any:
    try:
        with warnings.catch_warnings(action="ignore"):
            return import_module("oletools.olevba")
    except ImportError:
        return None
