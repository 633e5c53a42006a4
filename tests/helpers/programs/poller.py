"""Be a helper that polls its input and then reads one line through a buffer, as two published helpers do: a second line in the
pipe at the same time stalls it."""

import select
import sys

while select.select([sys.stdin], [], []):
    number, verb, *rest = (sys.stdin.readline() or sys.exit()).split()
    print(number, "INTF 4" if verb == "INTF" else "OK", flush=True)
