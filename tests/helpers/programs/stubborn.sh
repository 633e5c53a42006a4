#!/bin/sh
# Ignores QUIT, the end of its input and SIGTERM, and so does its child.
trap '' TERM
read -r number verb version
echo "$number INTF $version"
while :; do sleep 0.1; done
