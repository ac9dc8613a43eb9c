#!/bin/sh
# technique: T1552.001 T1552
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

grep -ri password / --include='*.conf' --include='*.env' --include='*.ini' -l 2>/dev/null | head -3; find / -name .netrc -o -name .pgpass -o -name '*.kdbx' 2>/dev/null | head
