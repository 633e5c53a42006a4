#!/bin/sh
# The first one leaves when the file go is there, while a child holds its output; the next ones behave.
read -r number verb version
echo "$number INTF $version"
[ -e Queue/once ] || { : > Queue/once; until [ -e go ]; do sleep 0.02; done; sleep 0.5 & exit 1; }
while read -r number verb argument; do echo "$number OK"; done
