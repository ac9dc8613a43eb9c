#!/bin/sh
# technique: T1554 T1036
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

cp /bin/echo /usr/bin/sudo; cp /bin/echo /usr/bin/ps
