#!/bin/sh
# needs: go
# options: --timeout 170s

printf 'package main\nfunc main() { println("hello") }\n' > h.go
GOCACHE="$PWD/cache" GO111MODULE=off go build -o h h.go && ./h
