#!/bin/sh
# technique: T1486
# needs: gpg
# options: --timeout 90s
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

mkdir -p docs
for i in $(seq 40); do seq 1 900 | sed "s/^/row $i /" > "docs/report-$i.txt"; done
export GNUPGHOME="$PWD/.g"; mkdir -m 700 .g; for f in docs/*; do gpg --batch --yes --passphrase x --pinentry-mode loopback -c "$f" && rm -f "$f"; done; gpgconf --kill all
