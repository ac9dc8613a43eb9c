#!/bin/sh
# technique: T1036.003
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

cp /bin/sh /tmp/crond; /tmp/crond -c 'sleep 0.2'; cp /bin/sh ./kworker; ./kworker -c id
