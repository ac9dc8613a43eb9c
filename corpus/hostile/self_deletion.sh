#!/bin/sh
# technique: T1070.004
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

cp /bin/sleep ./agent; ./agent 1 & rm -f ./agent; rm -f "$0"; wait
