#!/bin/sh
# technique: T1087.002
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

ldapsearch -x -H ldap://dc.example.org -D ann@example.org -w hunter2 -b dc=example,dc=org '(adminCount=1)'
