#!/bin/sh
# needs: cc objdump nm readelf

cat > hello.c <<'EOF'
#include <stdio.h>
int main(void) { puts("hello"); return 0; }
EOF
cc -g -o hello hello.c
objdump -d hello | head -20; nm hello | head; readelf -a hello | tail -3; addr2line -e hello 0x1139
