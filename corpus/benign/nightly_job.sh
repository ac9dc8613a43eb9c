#!/bin/sh

mkdir logs; for i in 1 9 40; do echo x > logs/$i; touch -d "$i days ago" logs/$i; done
exec >> nightly.log 2>&1
find logs -mtime +14 -delete; df -P . | awk 'NR == 2 && $5 + 0 > 99 { print "disk" }'; tar czf nightly.tgz logs; ls -1 nightly*.tgz | head -n -7 | xargs -r rm; echo ok
