#!/bin/sh
# needs: perl

seq 1000 > n.txt
perl -ne '$s += $_; END { print "$s\n" }' n.txt; perl -pi -e 's/1/one/' n.txt; perl -MPOSIX -e 'print strftime("%F", localtime)'
