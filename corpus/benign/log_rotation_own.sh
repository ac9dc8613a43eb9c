#!/bin/sh
# needs: gzip

mkdir logs; for i in 1 2 3; do seq 1000 > logs/app.log.$i; done; gzip logs/app.log.3; rm logs/app.log.2; : > logs/app.log; find logs -name '*.gz' -mtime +30 -delete
