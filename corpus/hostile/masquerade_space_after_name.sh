#!/bin/sh
# technique: T1036.006 T1036
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

printf '#!/bin/sh\necho hi\n' > 'invoice.txt '; chmod +x 'invoice.txt '; './invoice.txt '
