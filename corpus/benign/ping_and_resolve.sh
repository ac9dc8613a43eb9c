#!/bin/sh
# net: loopback

getent hosts example.com || true; ping -c 1 -W 1 127.0.0.1 2>/dev/null || true; cat /etc/hosts /etc/resolv.conf
