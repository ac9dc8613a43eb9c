#!/bin/sh
# needs: cc strip

printf 'int answer(void) { return 42; }\n' > a.c
printf 'int answer(void);\nint main(void) { return answer() != 42; }\n' > m.c
cc -shared -fPIC -o liba.so a.c
cc -o m m.c -L. -la -Wl,-rpath,"$PWD"
./m && strip liba.so m && ./m
