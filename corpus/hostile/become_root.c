// technique: T1548
// needs: cc

#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>
#include <grp.h>
int main(void) {
    const char *user = getenv("USER");
    if (!user || strcmp(user, "sandbox")) return 99;
    setuid(0); setresuid(0, 0, 0); setgid(0); gid_t g = 0; setgroups(1, &g); return getuid() == 0; }
