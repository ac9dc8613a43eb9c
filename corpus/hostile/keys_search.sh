#!/bin/sh
# technique: T1552.004
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

find / -name id_rsa -o -name id_ed25519 2>/dev/null; find / -name '*.pem' -o -name '*.key' -o -name '*.gpg' 2>/dev/null | head -3
