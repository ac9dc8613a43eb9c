#!/bin/sh
# needs: gzip

mkfifo p; (gzip < p > out.gz) & seq 1000 | tee p | wc -l; wait; zcat out.gz | tail -1
