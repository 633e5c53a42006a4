#!/bin/sh
# Dies of each message whose number ends in 13, with a word on stderr.
while read -r number verb argument; do
  case "$verb $argument" in
    INTF*) echo "$number INTF 3" ;;
    *13.msg) echo "I cannot stand $argument" >&2; exit 3 ;;
    *) echo "$number OK" ;;
  esac
done
