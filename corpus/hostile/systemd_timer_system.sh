#!/bin/sh
# technique: T1053.006 T1543.002
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

printf '[Timer]\nOnCalendar=*:0/1\n' > /etc/systemd/system/art.timer; printf '[Service]\nExecStart=/bin/touch /tmp/x\n' > /etc/systemd/system/art.service; systemctl daemon-reload; systemctl enable art.timer
