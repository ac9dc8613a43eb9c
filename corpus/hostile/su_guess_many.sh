#!/bin/sh
# technique: T1110
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

for p in a b c d e f g h; do echo $p | su root -c whoami; done
