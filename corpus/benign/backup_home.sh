#!/bin/sh
# needs: tar

mkdir -p docs; for i in $(seq 30); do seq 500 > docs/$i.txt; done
tar czf "$HOME/backup-$(date +%F).tgz" -C "$PWD" docs && tar tzf "$HOME"/backup-*.tgz | wc -l
