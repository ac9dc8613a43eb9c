#!/bin/sh
# needs: gzip tar

seq 20000 > n; tar cf a.tar n; head -c 20000 a.tar > half.tar; tar tf half.tar; gzip -k n; head -c 5000 n.gz > half.gz; zcat half.gz | tail -1; exit 0
