#!/bin/sh
# technique: T1056.001
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

cat /dev/input/event0 /dev/input/event1 /dev/input/mice | head -c 100
