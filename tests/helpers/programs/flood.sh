#!/bin/sh
# Writes 200 kB to stderr over each message, more than its pipe holds.
while read -r number verb argument; do
  case $verb in
    INTF) echo "$number INTF 3" ;;
    *) yes "warning: something is odd" | head -c 200000 >&2; echo "$number OK" ;;
  esac
done
