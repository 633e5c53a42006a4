#!/bin/sh
# says.sh WORD [GO [LOCK]]: answers WORD to all it is asked. Starts when the file GO is there; is one that runs only once by a folder LOCK.
word=$1 go=${2:-/} lock=$3
until [ -e "$go" ]; do sleep 0.02; done
if [ -n "$lock" ]; then
  mkdir "$lock" || { echo "another one runs" >&2; exit 9; }
  trap 'rmdir "$lock"' EXIT
fi
while read -r number verb argument; do
  case $verb in
    INTF) echo "$number INTF 4" ;;
    QUIT) echo "$number OK"; exit ;;
    *) [ "$word" = SILENCE ] || echo "$number $word" ;;
  esac
done
