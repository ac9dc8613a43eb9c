#!/bin/sh
# needs: git tar

git init -q r && cd r && git config user.name a && git config user.email a@example.com
for i in 1 2 3 4 5 6; do echo $i > f; git add f; git commit -qm $i; done
git bisect start -q HEAD HEAD~5 >/dev/null; git bisect run sh -c 'test $(cat f) -lt 4' | tail -2; git archive HEAD | tar t
