#!/bin/bash
# technique: T1056.001
# needs: bash
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

export PROMPT_COMMAND='history 1 | logger -t typed'; true
