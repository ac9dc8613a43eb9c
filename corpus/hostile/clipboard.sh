#!/bin/sh
# technique: T1115
# needs: xclip
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

xclip -o -selection clipboard > c.txt; xsel -b; wl-paste
