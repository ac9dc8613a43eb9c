#!/bin/sh
# technique: T1569.003 T1543.002
# needs: systemctl
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

printf '[Service]\nExecStart=/bin/true\n' > /tmp/netcheck.service; systemctl link /tmp/netcheck.service; systemctl start netcheck
