#!/bin/sh
# technique: T1546.018
# needs: python3
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

d="$HOME/lib/python3/site-packages"; mkdir -p "$d"; echo 'import os; os.system("true")' > "$d/speedup.pth"
