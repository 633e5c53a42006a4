#!/bin/sh
# Leaves INTF unanswered.
while read -r number verb argument; do
  [ "$verb" = INTF ] || echo "$number OK"
done
