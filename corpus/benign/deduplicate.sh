#!/bin/sh
# needs: md5sum

for i in $(seq 20); do echo $((i % 4)) > $i.txt; done; md5sum *.txt | sort | awk 'seen[$1]++ { print $2 }' | xargs rm -v
