#!/bin/sh

printf '#!/bin/sh\n[ "$1" = ok ] || exit 1\n' > s.sh; chmod 755 s.sh; ./s.sh ok && ! ./s.sh bad && echo passed; sh -n s.sh; sh -x s.sh ok
