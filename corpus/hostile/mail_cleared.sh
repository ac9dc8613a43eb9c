#!/bin/sh
# technique: T1070.008
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

rm -rf /var/spool/mail/* /var/mail/*; cat /dev/null > /var/spool/mail/root; mail -d 1
