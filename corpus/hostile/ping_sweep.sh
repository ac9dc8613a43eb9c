#!/bin/sh
# technique: T1018
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

n=1; while [ $n -lt 15 ]; do ping -c 1 -W 1 10.20.30.$n > /dev/null 2>&1; n=$((n+1)); done
