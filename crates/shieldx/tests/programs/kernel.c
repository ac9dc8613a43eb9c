/* Knocks at the kernel's less travelled calls, each with arguments that do nothing.
 * usage: kernel bpf|perf|io_uring|userfaultfd|keyctl|module|kexec */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static char zeros[256];

static long call(const char *name) {
    if (!strcmp(name, "bpf")) return syscall(SYS_bpf, 0, zeros, 64);
    if (!strcmp(name, "perf")) return syscall(SYS_perf_event_open, zeros, 0, -1, -1, 0);
    if (!strcmp(name, "io_uring")) return syscall(SYS_io_uring_setup, 4, zeros);
    if (!strcmp(name, "userfaultfd")) return syscall(SYS_userfaultfd, 0);
    if (!strcmp(name, "keyctl")) {
        long first = syscall(SYS_add_key, "user", "x", "y", 1, -3);
        return syscall(SYS_keyctl, 0, -3, 0) < 0 ? -1 : first;
    }
    if (!strcmp(name, "module")) {
        syscall(SYS_init_module, zeros, sizeof zeros, "");
        return syscall(SYS_finit_module, 0, "", 0);
    }
    return syscall(SYS_kexec_load, 0, 0, 0, 0);
}

int main(int argc, char **argv) {
    long result = call(argv[1]);
    printf("%s: %s\n", argv[1], result < 0 ? strerror(errno) : "done");
    return 0;
}
