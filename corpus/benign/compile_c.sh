#!/bin/sh
# needs: cc

cat > hello.c <<'EOF'
#include <stdio.h>
int main(void) { puts("hello"); return 0; }
EOF
cc -O2 -Wall -o hello hello.c
./hello
