/* Reaches into a child's memory. usage: inject ptrace|vm-write|proc-mem */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile long victim = 1;

int main(int argc, char **argv) {
    pid_t child = fork();
    if (child == 0) {
        for (;;) pause();
    }
    long value = 7;
    int ok = -1;
    if (!strcmp(argv[1], "ptrace")) {
        ok = ptrace(PTRACE_ATTACH, child, 0, 0);
        if (!ok) {
            waitpid(child, NULL, 0);
            ok = ptrace(PTRACE_POKEDATA, child, (void *)&victim, (void *)value);
        }
    } else if (!strcmp(argv[1], "vm-write")) {
        struct iovec here = {&value, sizeof value}, there = {(void *)&victim, sizeof victim};
        ok = process_vm_writev(child, &here, 1, &there, 1, 0) < 0 ? -1 : 0;
    } else {
        char path[64];
        snprintf(path, sizeof path, "/proc/%d/mem", child);
        int memory = open(path, O_RDWR);
        ok = memory < 0 || pwrite(memory, &value, sizeof value, (off_t)&victim) < 0 ? -1 : 0;
    }
    printf("%s: %s\n", argv[1], ok ? strerror(errno) : "done");
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    return 0;
}
