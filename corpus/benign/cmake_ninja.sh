#!/bin/sh
# needs: cmake ninja cc

cat > hello.c <<'EOF'
#include <stdio.h>
int main(void) { puts("hello"); return 0; }
EOF
printf 'cmake_minimum_required(VERSION 3.10)\nproject(demo C)\nenable_testing()\nadd_executable(demo hello.c)\nadd_test(NAME demo COMMAND demo)\n' > CMakeLists.txt
cmake -G Ninja -S . -B build && cmake --build build && ctest --test-dir build
