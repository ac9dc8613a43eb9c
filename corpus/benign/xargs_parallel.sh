#!/bin/sh
# needs: xargs

seq 60 | xargs -P 8 -n 3 sh -c 'echo "$@" | wc -w' x | sort | uniq -c
