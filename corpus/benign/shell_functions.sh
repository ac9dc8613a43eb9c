#!/bin/sh

greet() { echo "hello $1"; }; for n in a b c; do greet $n; done; trap 'echo bye' EXIT; set -- x y; echo "$#"; (exit 3) || echo failed
