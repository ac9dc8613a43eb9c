#!/bin/sh

df -hT; du -sh /usr/share/doc 2>/dev/null; lsblk 2>/dev/null || true; mount | head -5; cat /proc/mounts | wc -l
