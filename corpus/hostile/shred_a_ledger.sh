#!/bin/sh
# technique: T1070.004 T1485
# needs: shred
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

shred -n 2 -u /srv/ledger.db /var/lib/app/audit.db
