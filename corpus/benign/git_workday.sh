#!/bin/sh
# needs: git

git init -q r && cd r && git config user.name a && git config user.email a@example.com
echo one > f && git add f && git commit -qm 1 && git checkout -qb side && echo two >> f && git commit -qam 2
git checkout -q - && git merge -q side && echo three >> f && git stash -q && git stash pop -q && git diff | cat && git log --stat | cat && git blame f | cat
