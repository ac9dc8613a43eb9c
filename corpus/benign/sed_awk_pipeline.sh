#!/bin/sh
# needs: awk

seq 5000 | awk '{ print $1 % 17, $1 }' | sort -n | cut -d" " -f1 | uniq -c | sed 's/^ *//' | tail -3; seq 3 | paste -sd+
