#!/bin/sh
# needs: git

git init -q --bare o.git && git clone -q o.git w && cd w && git config user.name a && git config user.email a@example.com
seq 100 > f && git add f && git commit -qm 1 && git push -q origin HEAD && git gc -q && git fsck
