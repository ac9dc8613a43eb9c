#!/bin/sh

mkdir d; for i in $(seq 10); do printf '# Chapter %s\ntext\n' $i > d/$i.md; done; cat d/*.md | sed 's/^# \(.*\)/<h1>\1<\/h1>/' > book.html; wc book.html; head -c 40 book.html
