"""Text from outside as text that steers no terminal and hides nothing: for logs, reasons, lists and errors.

What is not printable is escaped: the control characters of C0 and C1, the marks that turn the direction of text, line and
paragraph separators, what has no width, and bytes that are no UTF-8.
"""

__all__ = ["printable", "printable_json", "printable_lines"]


def printable(text: str | bytes) -> str:
    """Text on one line, in which each character can be seen."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "backslashreplace")
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def printable_lines(text: str) -> str:
    """Text whose lines stay lines."""
    return "\n".join(map(printable, text.split("\n")))


def printable_json(text: str) -> str:
    """A JSON document that says the same, and in which each character can be seen. Its own line ends stay."""
    return "".join(c if c.isprintable() or c == "\n" else _escape(c) for c in text)


def _escape(char: str) -> str:
    """A character as JSON writes it in ASCII: one beyond 16 bits is a pair."""
    units = char.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))
