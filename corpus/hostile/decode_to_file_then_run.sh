#!/bin/sh
# technique: T1140 T1027 T1059.004
# needs: base64
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

echo aWQ7IHVuYW1lIC1hCg== > stage.b64; base64 -d stage.b64 > stage.sh; sh stage.sh
