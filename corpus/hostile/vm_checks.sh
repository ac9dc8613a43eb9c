#!/bin/sh
# technique: T1497.001
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

systemd-detect-virt; cat /sys/class/dmi/id/product_name /sys/class/dmi/id/sys_vendor /sys/hypervisor/type; grep -i hypervisor /proc/cpuinfo; ls /.dockerenv; cat /proc/1/cgroup; dmidecode | grep -i vmware; lscpu | grep -i virt
