#!/bin/sh
# needs: base64

head -c 30000 /dev/urandom > p.png; base64 p.png > p.b64; base64 -d p.b64 | cmp - p.png; xxd p.png | head -2; od -c p.png | tail -1
