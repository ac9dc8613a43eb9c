#!/bin/sh
# technique: T1560.002 T1560
# needs: python3
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

python3 -c 'import bz2; open("o.bz2", "wb").write(bz2.compress(open("/etc/passwd", "rb").read()))'
