#!/bin/sh
# technique: T1140 T1027
# needs: xxd
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

echo 69643b20756e616d65202d610a | xxd -r -p > art.sh; chmod +x art.sh; sh ./art.sh
