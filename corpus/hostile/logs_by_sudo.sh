#!/bin/sh
# technique: T1685.006
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

sudo truncate -s 0 /var/log/auth.log; sudo rm -f /var/log/wtmp.1 /var/log/kern.log
