#!/bin/sh
# technique: T1140 T1027
# needs: python3
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

python3 -c 'import base64; open("x.sh", "wb").write(base64.b64decode("aWQ7IHVuYW1lIC1hCg=="))'; sh x.sh; python3 -c 'exec(__import__("base64").b64decode("cHJpbnQoMSk="))'
