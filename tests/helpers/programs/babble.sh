#!/bin/sh
# Greets, then writes nonsense to both its outputs as fast as it can, for ever.
read -r number verb version
echo "$number INTF $version"
yes nonsense >&2 &
exec yes
