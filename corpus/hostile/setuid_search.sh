#!/bin/sh
# technique: T1548.001 T1083
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

find / -perm -4000 -type f 2>/dev/null | head; find / -perm /2000 2>/dev/null | head -3; getcap -r / 2>/dev/null | head -3
