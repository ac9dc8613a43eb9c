#!/bin/sh
# technique: T1564.001
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

mkdir -p /var/tmp/.font-store && echo 'agent=1' > /var/tmp/.font-store/.state
