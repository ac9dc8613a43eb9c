#!/bin/sh
# technique: T1529
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

shutdown -h now; reboot -f; halt; poweroff; echo b > /proc/sysrq-trigger
