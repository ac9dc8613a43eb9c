#!/bin/sh
# needs: find grep

find /usr/share -name '*.conf' | head -20; grep -rl root /etc --include='*.conf' 2>/dev/null | head; find . -newer /etc/passwd -type f
