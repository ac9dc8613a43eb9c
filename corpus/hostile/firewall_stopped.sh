#!/bin/sh
# technique: T1686 T1562.004 T1685
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

iptables -F; iptables -P INPUT ACCEPT; nft flush ruleset; ufw disable; systemctl stop firewalld; echo 'ENABLED=no' > /etc/ufw/ufw.conf
