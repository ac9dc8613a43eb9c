#!/bin/sh
# needs: tmux

tmux -L demo new-session -d 'sleep 5' && tmux -L demo ls; tmux -L demo kill-server
