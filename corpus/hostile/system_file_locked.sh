#!/bin/sh
# technique: T1486
# needs: openssl
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

openssl enc -aes-256-cbc -pbkdf2 -k s3same -in /etc/passwd -out passwd.locked
