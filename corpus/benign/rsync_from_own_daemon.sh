#!/bin/sh
# needs: rsync
# net: loopback

mkdir d; seq 5 > d/a; printf 'pid file=%s/p\nport=8739\naddress=127.0.0.1\nuse chroot=no\n[m]\npath=%s/d\n' "$PWD" "$PWD" > c
rsync --daemon --no-detach --config=c & sleep 0.7; rsync -a rsync://127.0.0.1:8739/m/ got/; ls got; kill $!
