#!/bin/sh
# needs: cargo
# options: --timeout 150s

cargo init -q --vcs none --lib --name demo demo
cd demo && cargo build -q --offline && cargo test -q --offline
