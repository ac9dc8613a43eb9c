#!/bin/sh
# needs: python3

python3 -c 'import multiprocessing as m; print(sum(m.Pool(4).map(abs, range(-1000, 0))))'
