#!/bin/sh

uname -a; cat /etc/os-release; df -h; free -m; uptime; lscpu | head -5; locale; date; ip addr 2>/dev/null | head -4
