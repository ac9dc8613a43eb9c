#!/bin/bash
# technique: T1546.005
# needs: bash
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

trap 'setsid /opt/agent --quiet' EXIT HUP; sleep 0.1
