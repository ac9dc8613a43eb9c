#!/bin/sh
# technique: T1547.006
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

printf 'x' > rk.ko; insmod ./rk.ko; modprobe rk; echo rk >> /etc/modules; echo rk > /etc/modules-load.d/rk.conf
