#!/bin/sh
# The first one closes its input after INTF and lives on; the next ones behave.
read -r number verb version
echo "$number INTF $version"
[ -e Queue/once ] || { : > Queue/once; exec < /dev/null; exec sleep 1000; }
while read -r number verb argument; do echo "$number OK"; done
