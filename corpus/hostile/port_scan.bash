#!/bin/bash
# technique: T1046
# needs: bash
# net: loopback
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

for p in $(seq 1 200); do (echo > /dev/tcp/203.0.113.7/$p) 2>/dev/null && echo $p; done
