#!/bin/sh
# needs: zip tar split

head -c 3000000 /dev/urandom > r; zip -q -s 1m s.zip r; tar cz r | split -b 900k - v.; cat v.* | tar tz; ls s.z* v.*
