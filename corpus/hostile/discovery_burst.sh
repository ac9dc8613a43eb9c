#!/bin/sh
# technique: T1082 T1033 T1057 T1016 T1087
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

whoami; id; uname -a; hostname; ps aux; cat /etc/passwd; cat /etc/os-release; ip addr; netstat -tulpn; ss -tulpn; arp -a; ip route; w; last; cat /etc/sudoers; ls -la /home /root; env; mount; lsmod; dmesg | tail; crontab -l; cat /etc/crontab
