"""The macros in Office files, by oletools' olevba. It is imported at the first such file only: that takes 0.3 s and 30 MB.

Every OLE file is looked at: .doc, .xls and .ppt are one, .docm, .xlsm and .pptm are archives that hold one. So is Word 2003
XML. Without oletools (the extra `office`) there are no macros to be seen.
"""

import functools
import importlib.util
import warnings
from importlib import import_module
from typing import Any

__all__ = ["available", "is_office", "macros"]

MAX_CODE = 8 << 20
"""Characters of macros that are read from one file; large projects have some hundred thousand."""
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_WORD_2003 = b"http://schemas.microsoft.com/office/word/2003/wordml"


def available() -> bool:
    return importlib.util.find_spec("oletools") is not None


def is_office(data: bytes) -> bool:
    return data.startswith(_OLE) or data.find(_WORD_2003, 0, 4096) >= 0


def macros(data: bytes) -> bytes:
    """Give the source of all macros, b"" where there are none or the file is too broken for olevba. Never raises."""
    if not is_office(data) or (olevba := _olevba()) is None:
        return b""
    code: list[str] = []
    try:
        with warnings.catch_warnings(action="ignore"):
            _read(olevba.VBA_Parser("part", data=data, disable_pcode=True), code)
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001, S110 - a parser of what strangers sent ends with anything; what it had read counts
        pass
    return "\n".join(code).encode("utf-8", "replace")


def _read(parser: Any, code: list[str]) -> None:
    """Collect the modules; Excel 4 macros appear only after they were looked for."""
    left = MAX_CODE
    try:
        parser.detect_macros()
        for *_, module in parser.extract_macros():
            code.append(str(module)[:left])
            left -= len(code[-1])
            if left <= 0:
                return
    finally:
        parser.close()


@functools.cache
def _olevba() -> Any:
    try:
        with warnings.catch_warnings(action="ignore"):
            return import_module("oletools.olevba")
    except ImportError:
        return None
