#!/bin/sh
# technique: T1548.001 T1548
# needs: python3
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

cp /bin/echo ./e; setcap cap_setuid=ep ./e; getcap ./e; python3 -c 'import os; os.setxattr("e", "security.capability", bytes.fromhex("0100000280000000000000000000000000000000"))'
