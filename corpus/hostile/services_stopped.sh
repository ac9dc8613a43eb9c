#!/bin/sh
# technique: T1489
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

systemctl stop mysql postgresql nginx docker; service ssh stop; pkill -9 mysqld; killall postgres
