#!/bin/sh
# needs: git

git init -q r && cd r && ls .git/hooks | head -3; git config core.hooksPath; git config --list --show-origin | head
