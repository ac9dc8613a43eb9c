#!/bin/bash

mkdir sos
for c in "uname -a" uptime "free -m" "df -h" mount "ps auxww" "ip r" "ss -tulpn" lsblk lscpu "dpkg -l" env id who "cat /etc/os-release" "cat /etc/hosts" "getent passwd" "crontab -l"; do
    bash -c "$c" > "sos/${c// /_}" 2>&1
done
tar czf sos.tgz sos; ls -l sos.tgz; exit 0
