#!/bin/sh
# technique: T1070.006
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

cp /bin/echo ./up; touch -t 199001010000 ./up; touch -acmr /bin/sh ./up; touch -d '2010-01-01' up; ./up
