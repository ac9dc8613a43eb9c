#!/bin/sh
# technique: T1497.003 T1497
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

ping -c 400 192.0.2.1 > /dev/null; echo go
