#!/bin/sh
# technique: T1560.001 T1074.001
# needs: zip
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

mkdir -p /var/tmp/q && cp /etc/hosts /var/tmp/q/ && zip -q -r -P tr0ub4dor /var/tmp/q.zip /var/tmp/q
