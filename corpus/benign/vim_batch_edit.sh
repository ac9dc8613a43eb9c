#!/bin/sh
# needs: vim

printf 'milk\nbread\n' > n.txt; vim -es -u NONE -c '%s/milk/tea/' -c wq n.txt; cat n.txt
