#!/bin/sh
# technique: T1059.004
# needs: awk
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

awk 'BEGIN { system("/bin/sh") }' < /dev/null
