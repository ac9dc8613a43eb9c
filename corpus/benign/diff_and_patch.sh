#!/bin/sh
# needs: diff patch

printf 'a\nb\nc\n' > 1; printf 'a\nB\nc\n' > 2; diff -u 1 2 > p; patch -s 1 p; cmp 1 2; comm 1 2 | head -1
