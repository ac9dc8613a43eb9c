/* Runs a command and writes how long it took to standard error: the time inside a sandbox, without
 * the sandbox's own start. usage: stopwatch COMMAND... */
#include <stdio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv) {
    struct timespec start, end;
    clock_gettime(CLOCK_MONOTONIC, &start);
    pid_t child = fork();
    if (child == 0) {
        execvp(argv[1], argv + 1);
        _exit(127);
    }
    int status = 0;
    waitpid(child, &status, 0);
    clock_gettime(CLOCK_MONOTONIC, &end);
    fprintf(stderr, "STOPWATCH %lld\n",
            (end.tv_sec - start.tv_sec) * 1000000000ll + end.tv_nsec - start.tv_nsec);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
