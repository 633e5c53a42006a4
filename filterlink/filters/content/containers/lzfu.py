"""Unpack Windows' own simple formats: compressed RTF (MS-OXRTFCP) in mail, and COMPRESS.EXE's files (SZDD). Pure."""

from collections.abc import Iterator

from filterlink.filters.content.limits.member import STEP, Budget, Member

__all__ = ["decompressed", "is_szdd", "szdd"]

MAX_UNPACKED = 4 << 20
"""Bytes of one text: this runs at some 5 MB/s. An RTF body of Outlook has some ten thousand."""
_PACKED = b"LZFu"
_STORED = b"MELA"
_SZDD = b"SZDD\x88\xf0\x27\x33"
_START = (
    rb"{\rtf1\ansi\mac\deff0\deftab720{\fonttbl;}{\f0\fnil \froman \fswiss \fmodern \fscript \fdecor "
    rb"MS Sans SerifSymbolArialTimes New RomanCourier"
    rb"{\colortbl\red0\green0\blue0"
    b"\r\n"
    rb"\par \pard\plain\f0\fs20\b\i\u\tab\tx"
)


def decompressed(data: bytes, budget: Budget) -> tuple[bytes, str]:
    """Unpack an RTF text; return it, and the flag."""
    if len(data) < 16:
        return b"", "broken" if data else ""
    kind = data[8:12]
    if kind == _STORED:
        return data[16:], budget.take(len(data) - 16)
    if kind != _PACKED:
        return data, "broken"
    window = bytearray(_START.ljust(4096, b" "))
    return _lz(data, 16, window, len(_START), True, budget)


def is_szdd(data: bytes) -> bool:
    return data.startswith(_SZDD)


def szdd(data: bytes, name: str, budget: Budget) -> Iterator[Member]:
    """Unpack the file in it; the last letter of its name is in the header."""
    out, flag = _lz(data, 14, bytearray(b" " * 4096), 4096 - 16, False, budget)
    last = chr(data[9]) if len(data) > 9 and 32 < data[9] < 127 else ""
    yield Member(name.rstrip("_") + last if name.endswith("_") else name or "unpacked", out, budget.count() or flag)


def _lz(data: bytes, at: int, window: bytearray, position: int, rtf: bool, budget: Budget) -> tuple[bytes, str]:
    """Unpack bytes and references with a window of 4096. RTF's bits and numbers are in the opposite order, and it marks its end."""
    out = bytearray()
    size = len(data)
    taken = 0
    while at < size:
        control = data[at]
        at += 1
        for bit in range(8):
            if at >= size:
                return bytes(out), ("broken" if rtf else "") or budget.take(len(out) - taken)
            if bool(control >> bit & 1) != rtf:  # a byte
                out.append(data[at])
                window[position] = data[at]
                position = position + 1 & 4095
                at += 1
                continue
            if at + 2 > size:
                return bytes(out), "broken"
            first = data[at]
            second = data[at + 1]
            at += 2
            offset, length = (first << 4 | second >> 4, (second & 15) + 2) if rtf else (first | (second & 0xF0) << 4, (second & 15) + 3)
            if rtf and offset == position:
                return bytes(out), budget.take(len(out) - taken)
            for _ in range(length):
                byte = window[offset]
                out.append(byte)
                window[position] = byte
                offset = offset + 1 & 4095
                position = position + 1 & 4095
        if len(out) - taken > STEP:
            flag = budget.take(len(out) - taken)
            taken = len(out)
            if flag or len(out) > MAX_UNPACKED:
                return bytes(out), flag or "limit"
    return bytes(out), budget.take(len(out) - taken)
