"""Polls its input, then reads one line of it through a buffer, as two published helpers do: more than one line in the
pipe at a time stalls it."""

import select
import sys

while select.select([sys.stdin], [], []):
    number, verb, *rest = (sys.stdin.readline() or sys.exit()).split()
    print(number, "INTF 4" if verb == "INTF" else "OK", flush=True)
