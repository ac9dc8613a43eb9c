#!/bin/sh
# technique: T1003.008
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

sudo head -n 3 /etc/shadow > "$HOME/h" || doas head -n 3 /etc/shadow > "$HOME/h"
