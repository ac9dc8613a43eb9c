#!/bin/sh

mkdir in out; for i in $(seq 120); do seq 200 > in/$i.csv; done; for f in in/*; do sort -rn "$f" > out/$(basename "$f"); rm "$f"; done; ls out | wc -l
