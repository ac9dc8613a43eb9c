#!/bin/sh
# needs: tar xz

mkdir t; for i in $(seq 50); do echo "file $i" > t/$i.txt; done
tar czf a.tgz t && mkdir x && tar xzf a.tgz -C x && tar cJf a.txz t && tar tf a.txz | wc -l && rm -r t
