#!/bin/sh
# needs: nginx
# net: loopback

mkdir -p l; printf 'daemon off; pid l/pid; error_log l/e; events {} http { access_log off; server { listen 127.0.0.1:8088; } }' > n.conf; nginx -t -p "$PWD" -c n.conf 2>&1 | tail -2; true
