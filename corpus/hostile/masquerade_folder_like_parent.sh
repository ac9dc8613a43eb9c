#!/bin/sh
# technique: T1036.005 T1564.001 T1036
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

mkdir -p "$HOME/..."; cp /bin/sh "$HOME/.../sh"; "$HOME/.../sh" -c 'id'
