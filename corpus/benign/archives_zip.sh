#!/bin/sh
# needs: zip unzip

mkdir t; for i in $(seq 20); do seq $i 1000 > t/$i.txt; done
zip -qr a.zip t && unzip -q -d x a.zip && diff -r t x/t
