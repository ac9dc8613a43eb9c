// technique: T1036
// needs: cc

#include <stdlib.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <string.h>
#include <unistd.h>
int main(int argc, char **argv) {
    const char *user = getenv("USER");
    if (!user || strcmp(user, "sandbox")) return 99;
    prctl(PR_SET_NAME, "kworker/0:1");
    memset(argv[0], 0, strlen(argv[0]));
    strcpy(argv[0], "[k]");
    (void)argc;
    sleep(1);
    return 0;
}
