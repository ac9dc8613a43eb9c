#!/bin/bash
# technique: T1496 T1499
# needs: bash
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

for i in 1 2 3 4 5 6 7 8; do yes > /dev/null & done; sleep 4; kill $(jobs -p)
