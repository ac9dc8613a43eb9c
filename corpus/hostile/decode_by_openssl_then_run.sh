#!/bin/sh
# technique: T1140 T1027
# needs: openssl
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

printf 'aWQ7IHVuYW1lIC1hCg==\n' | openssl enc -d -base64 -out /tmp/.cache.sh; sh /tmp/.cache.sh
