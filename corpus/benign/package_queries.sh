#!/bin/sh
# needs: dpkg

dpkg -l | tail -3; dpkg -S /bin/ls 2>/dev/null; apt-cache policy bash 2>/dev/null | head -3
