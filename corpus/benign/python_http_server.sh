#!/bin/sh
# needs: python3 curl
# net: loopback

mkdir w; echo hello > w/page
python3 -m http.server --bind 127.0.0.1 --directory w 8931 2>/dev/null &
for i in 1 2 3 4 5 6 7 8 9; do curl -sf -o page http://127.0.0.1:8931/page && break; sleep 0.4; done
cat page; kill $!
