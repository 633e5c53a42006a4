"""Make text from outside printable, so that it controls no terminal and hides nothing: for logs, reasons, lists and errors.

Unprintable parts are escaped: the control characters of C0 and C1, marks that turn the direction of text, line and paragraph
separators, characters without width, and bytes that are not UTF-8.
"""

__all__ = ["printable", "printable_json", "printable_lines"]


def printable(text: str | bytes) -> str:
    """Make text one line in which each character is visible."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "backslashreplace")
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def printable_lines(text: str) -> str:
    """Make text printable, but keep its lines."""
    return "\n".join(map(printable, text.split("\n")))


def printable_json(text: str) -> str:
    """Make a JSON document with the same meaning in which each character is visible. Its line ends stay."""
    return "".join(c if c.isprintable() or c == "\n" else _escape(c) for c in text)


def _escape(char: str) -> str:
    """Write a character as JSON does in ASCII: one beyond 16 bits becomes a pair."""
    units = char.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))
