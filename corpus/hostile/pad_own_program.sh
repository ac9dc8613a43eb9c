#!/bin/sh
# technique: T1027.001
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

cp /bin/true ./evil; dd if=/dev/zero bs=1 count=1 >> ./evil 2>/dev/null; head -c 1000 /dev/urandom >> evil; ./evil
