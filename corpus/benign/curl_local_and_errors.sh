#!/bin/sh
# needs: curl wget
# net: loopback

curl -s file:///etc/os-release | head -1; curl -sS -m 2 http://127.0.0.1:9/ ; curl --version | head -1; wget -q -O - http://127.0.0.1:9/ ; true
