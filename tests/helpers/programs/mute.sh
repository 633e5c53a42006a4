#!/bin/sh
# Speaks at INTF, and never again; leaves at the end of its input.
read -r number verb version
echo "$number INTF $version"
cat > /dev/null
