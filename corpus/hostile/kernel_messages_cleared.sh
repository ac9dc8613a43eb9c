#!/bin/sh
# technique: T1685.006 T1070.002
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

dmesg -C; dmesg --clear; echo 0 > /proc/sys/kernel/randomize_va_space; sysctl -w kernel.dmesg_restrict=0
