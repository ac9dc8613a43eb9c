#!/bin/sh
# technique: T1027.010 T1140
# needs: python3
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

python3 -c 'import subprocess; t = bytes(b ^ 7 for b in b"nc"); subprocess.call(t, shell=True)'
