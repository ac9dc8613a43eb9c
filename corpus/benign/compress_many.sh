#!/bin/sh
# needs: gzip xz

for i in $(seq 40); do seq 2000 > $i.log; done; gzip *.log; zcat 1.log.gz | tail -1; gunzip *.gz; xz -T2 *.log; zstd -q --rm 1.log.xz -o 1.zst || true
