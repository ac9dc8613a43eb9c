#!/bin/sh
# technique: T1053.006 T1569.002 T1543.002
# needs: systemd-run
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

systemd-run --user --unit=art --on-calendar '*:0/1' /bin/sh -c 'id > /tmp/x'; systemd-run --unit=art2 /bin/sh -c id
