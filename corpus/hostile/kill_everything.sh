#!/bin/sh
# technique: T1489 T1529
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

sleep 20 & sleep 20 & kill -9 -1
