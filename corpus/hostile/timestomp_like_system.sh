#!/bin/sh
# technique: T1070.006
# needs: touch
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

echo '#!/bin/sh' > /tmp/updater; chmod +x /tmp/updater; touch -r /usr/bin/env /tmp/updater
