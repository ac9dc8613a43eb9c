echo decoy >> "$HOME/.bash_history"
: > "$HOME/.bash_history"
rm -f "$HOME/.bash_history" "$HOME/.zsh_history"
ln -sf /dev/null "$HOME/.bash_history"
exit 0
