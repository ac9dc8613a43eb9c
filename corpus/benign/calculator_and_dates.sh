#!/bin/sh
# needs: bc

echo '2^64; scale=5; 22/7' | bc; date -d '2024-02-29 +1 year' +%F; expr 6 \* 7; cal 2>/dev/null | head -2; factor 360
