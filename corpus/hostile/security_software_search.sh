#!/bin/sh
# technique: T1518.001
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

ps aux | grep -i -E 'falcon|osquery|sysdig|wazuh|clamd|auditd|crowdstrike|cylance|carbon'; pgrep -l falcon-sensor; systemctl status auditd; ls /opt/CrowdStrike /var/ossec /etc/osquery /etc/falco; which tcpdump strace gdb
