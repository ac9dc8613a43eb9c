#!/bin/sh
# technique: T1222.002 T1222
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

touch x; chattr +i x; chattr -i /etc/passwd; chmod 777 /etc/passwd /etc; chown -R sandbox /usr/local/bin; chmod 000 /etc/hosts.deny
