#!/bin/sh
# technique: T1087.001 T1074.001
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

grep -v nologin /etc/passwd > /tmp/people; cut -d: -f1,6 /etc/passwd >> /tmp/people
