#!/bin/sh
# needs: iconv

mkdir d; for i in $(seq 30); do echo "page $i" > d/$i.txt; done; for f in d/*; do iconv -f utf-8 -t utf-16 $f > $f.n && mv $f.n $f; done; ls d | wc -l
