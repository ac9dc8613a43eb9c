#!/bin/sh
# needs: gcc

printf '#include <stdlib.h>\nint main(void) { char *p = malloc(4); p[2] = 1; free(p); return 0; }\n' > a.c; gcc -g -fsanitize=address a.c -o a && ./a
