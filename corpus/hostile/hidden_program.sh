#!/bin/sh
# technique: T1564.001
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

mkdir -p /tmp/.X11-cache; cp /bin/echo /tmp/.X11-cache/.sys; /tmp/.X11-cache/.sys run; cp /bin/echo /dev/shm/.x; /dev/shm/.x run
