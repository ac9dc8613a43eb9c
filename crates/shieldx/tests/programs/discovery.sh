id; whoami; hostname; uname -a
cat /etc/passwd /etc/group /etc/os-release /proc/version /proc/cpuinfo
ps aux; w; last
ip addr; ip route; cat /etc/resolv.conf /proc/net/arp /proc/net/tcp
netstat -an; ss -an
df -h; mount; lsblk; env
ls -la /home /root /etc/ssh "$HOME"
find / -maxdepth 3 -perm -4000
getent passwd; groups; cat /etc/sudoers
sudo -n -l; systemctl list-units; crontab -l; dpkg -l
exit 0
