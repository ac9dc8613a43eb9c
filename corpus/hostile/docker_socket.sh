#!/bin/sh
# technique: T1611 T1610 T1609
# needs: curl python3
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

curl -s --unix-socket /var/run/docker.sock http://localhost/containers/json; python3 -c 'import socket; socket.socket(socket.AF_UNIX).connect("/run/docker.sock")'
