#!/bin/sh
# technique: T1036
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

cp /bin/echo 'photo.jpg'; chmod +x photo.jpg; ./photo.jpg hello; cp /bin/echo report.pdf; ./report.pdf hi
