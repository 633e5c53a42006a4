"""List what GMime finds in each message of a file. This program runs in Debian's own Python, and answers as mime_parser.pl does.

The second argument is "strict" or "loose": the way in which GMime reads parameters and encoded words.
"""

import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

gi: Any = import_module("gi")
gi.require_version("GMime", "3.0")
GMime: Any = import_module("gi.repository.GMime")


def files(entity: Any) -> Iterator[tuple[bytes, bytes]]:
    if isinstance(entity, GMime.Multipart):
        for number in range(entity.get_count()):
            yield from files(entity.get_part(number))
    elif isinstance(entity, GMime.MessagePart):
        if message := entity.get_message():
            yield from files(message.get_mime_part())
    elif isinstance(entity, GMime.Part):
        out = GMime.StreamMem.new()
        if content := entity.get_content():
            content.write_to_stream(out)
        yield (entity.get_filename() or "").encode("utf-8", "surrogateescape"), bytes(out.get_byte_array() or b"")


def main(source: str, manner: str) -> None:
    GMime.init()
    options = GMime.ParserOptions.new()
    mode = GMime.RfcComplianceMode.STRICT if manner == "strict" else GMime.RfcComplianceMode.LOOSE
    options.set_parameter_compliance_mode(mode)
    options.set_rfc2047_compliance_mode(mode)
    options.set_address_compliance_mode(mode)
    with Path(source).open("rb") as file:
        while line := file.readline():
            stream = GMime.StreamMem.new_with_buffer(file.read(int(line)))
            found = []
            try:
                message = GMime.Parser.new_with_stream(stream).construct_message(options)
                if message is not None:
                    found = list(files(message.get_mime_part()))
            except (TypeError, UnicodeError, RuntimeError) as fault:
                print(fault, file=sys.stderr)
            answer = b"".join(b"%d %d\n%b%b" % (len(name), len(data), name, data) for name, data in found)
            sys.stdout.buffer.write(b"%d\n" % len(found) + answer)
            sys.stdout.buffer.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
