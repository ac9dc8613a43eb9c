#!/bin/bash
# technique: T1003.007
# needs: bash
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

sleep 4 & p=$!
grep -E '^[0-9a-f-]* r' /proc/$p/maps | grep heap | cut -d' ' -f1 | while IFS=- read a b; do dd if=/proc/$p/mem bs=4096 skip=$((0x$a / 4096)) count=2 2>/dev/null; done > dump; kill $p
