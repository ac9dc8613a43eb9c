#!/bin/sh
# technique: T1686
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

iptables -D INPUT 1; sudo iptables -D INPUT -j DROP; ufw disable
