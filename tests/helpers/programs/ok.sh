#!/bin/sh
# Ten lines of sh that are a filter.
while read -r number verb argument; do
  case $verb in
    INTF) echo "$number INTF $argument" ;;
    *) echo "$number OK" ;;
  esac
  [ "$verb" = QUIT ] && exit
done
