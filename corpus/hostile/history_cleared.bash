#!/bin/bash
# technique: T1070.003
# needs: bash
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

history -c; history -w; rm -f "$HOME/.bash_history"; cat /dev/null > "$HOME/.bash_history"; ln -sf /dev/null "$HOME/.bash_history"
