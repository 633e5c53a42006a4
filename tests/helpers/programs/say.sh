#!/bin/sh
# Answer with what the file itself says (its %N becomes the number); no file, no answer.
while read -r number verb argument; do
  case $verb in
    INTF) echo "$number INTF 4" ;;
    QUIT) echo "$number OK"; exit ;;
    FILE) [ -e "$argument" ] && sed "s/%N/$number/g" "$argument" ;;
  esac
done
