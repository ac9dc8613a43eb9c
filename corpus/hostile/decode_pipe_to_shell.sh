#!/bin/sh
# technique: T1140 T1027 T1059.004
# needs: base64
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

echo aWQ7IHVuYW1lIC1hCg== | base64 -d | sh
