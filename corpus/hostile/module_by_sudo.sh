#!/bin/sh
# technique: T1547.006
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

sudo insmod ./netfilter_ext.ko && sudo depmod -a
