#!/bin/sh

mkdir in; for i in 1 2 3 4 5 6 7 8 9 10 11 12; do echo $i > in/$i.jpg; touch -d "2024-$i-03" in/$i.jpg; done
for f in in/*.jpg; do d=$(date -r $f +%Y/%m); mkdir -p out/$d; mv $f out/$d/; done; find out -type f | wc -l
