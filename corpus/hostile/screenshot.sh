#!/bin/sh
# technique: T1113
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

xwd -root -out s.xwd; import -window root s.png; scrot s.png; cat /dev/fb0 > fb.raw
