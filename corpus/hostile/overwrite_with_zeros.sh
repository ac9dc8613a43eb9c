#!/bin/sh
# technique: T1485
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

mkdir -p docs
for i in $(seq 40); do seq 1 900 | sed "s/^/row $i /" > "docs/report-$i.txt"; done
for f in docs/*; do dd if=/dev/zero of="$f" bs=4096 count=2 conv=notrunc 2>/dev/null; done; rm -rf docs
