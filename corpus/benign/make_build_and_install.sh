#!/bin/sh
# needs: make cc install

cat > hello.c <<'EOF'
#include <stdio.h>
int main(void) { puts("hello"); return 0; }
EOF
printf 'all: hello\nhello: hello.c\n\tcc -o hello hello.c\ninstall: all\n\tinstall -D hello $(DESTDIR)/usr/bin/hello\nclean:\n\trm -f hello\n' > Makefile
make -j2 && make install DESTDIR="$PWD/stage" && make clean
