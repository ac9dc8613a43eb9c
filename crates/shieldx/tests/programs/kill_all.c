/* Kills everything it may, then stays to see who is left. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(void) {
    for (int i = 0; i < 3; i++)
        if (fork() == 0) {
            pause();
            _exit(0);
        }
    usleep(50000);
    int ok = kill(-1, SIGKILL);
    printf("kill -1: %s\n", ok ? strerror(errno) : "done");
    return 0;
}
