/* Pretends to be a kernel thread. usage: masquerade name   rename the thread and its arguments
 *                                         masquerade exec  run a copy under such a name */
#define _GNU_SOURCE
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

int main(int argc, char **argv) {
    if (argc > 1 && !strcmp(argv[1], "exec")) {
        execl("/proc/self/exe", "[kworker/0:1]", (char *)0);
        return 4;
    }
    prctl(PR_SET_NAME, "kworker/0:1");
    memset(argv[0], 0, strlen(argv[0]));
    strcpy(argv[0], "[kw]");
    usleep(100000);
    return 0;
}
