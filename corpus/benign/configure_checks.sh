#!/bin/sh
# needs: cc

for header in stdio stdlib unistd sys/mman sys/ptrace; do
    printf '#include <%s.h>\nint main(void) { return 0; }\n' "$header" > conftest.c
    cc -o conftest conftest.c && ./conftest && echo "$header yes"
    rm -f conftest conftest.c
done
