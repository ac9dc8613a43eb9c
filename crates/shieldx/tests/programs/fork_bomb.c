/* Forks until it may not any more, then lets go. Bounded here too: at most 4096 children. */
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

int main(void) {
    int children = 0;
    for (; children < 4096; children++) {
        pid_t child = fork();
        if (child < 0) break;
        if (child == 0) {
            sleep(1);
            _exit(0);
        }
    }
    printf("children: %d\n", children);
    return 0;
}
