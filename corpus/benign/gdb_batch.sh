#!/bin/sh
# needs: cc gdb

cat > hello.c <<'EOF'
#include <stdio.h>
int main(void) { puts("hello"); return 0; }
EOF
cc -g -o hello hello.c
gdb -q -batch -ex run -ex bt ./hello
