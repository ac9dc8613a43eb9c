#!/bin/sh
# technique: T1136.002
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

printf 'dn: cn=helpdesk,dc=example,dc=org\nobjectClass: person\n' > new.ldif; ldapadd -x -D cn=admin,dc=example,dc=org -w hunter2 -f new.ldif
