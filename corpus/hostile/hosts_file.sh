#!/bin/sh
# technique: T1565.001 T1565
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

echo '0.0.0.0 security.debian.org' >> /etc/hosts; echo 'nameserver 203.0.113.7' > /etc/resolv.conf
