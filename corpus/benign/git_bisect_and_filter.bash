#!/bin/bash
# needs: git

export GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b FILTER_BRANCH_SQUELCH_WARNING=1
git init -q r; cd r || exit 1; for i in $(seq 8); do echo "$i" > n; git add n; git commit -qm "$i"; done
git bisect start -q HEAD HEAD~7; git bisect run sh -c 'test $(cat n) -lt 5'; git bisect reset -q
git filter-branch -f --tree-filter 'echo x > x' HEAD > /dev/null 2>&1; git bundle create -q ../b HEAD; git fsck
