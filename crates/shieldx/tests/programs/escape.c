/* Tries the doors of the sandbox, primitives only.
 * usage: escape unshare|mount|pivot|setns|handle|chroot|cgroup|procfs */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static void tell(const char *name, long result) {
    printf("%s: %s\n", name, result < 0 ? strerror(errno) : "done");
}

/* Only opened: had the door been open, writing would change the host. */
static void into(const char *path) {
    tell(path, open(path, O_WRONLY));
}

int main(int argc, char **argv) {
    const char *what = argv[1];
    if (!strcmp(what, "unshare")) {
        tell("user", unshare(CLONE_NEWUSER));
        tell("mnt", unshare(CLONE_NEWNS));
        tell("net", unshare(CLONE_NEWNET));
    } else if (!strcmp(what, "mount")) {
        mkdir("./m", 0755);
        tell("proc", mount("proc", "./m", "proc", 0, 0));
        tell("bind", mount("/", "./m", 0, MS_BIND | MS_REC, 0));
        tell("dev", mount("/dev/vda", "./m", "ext4", 0, 0));
    } else if (!strcmp(what, "pivot")) {
        tell("pivot_root", syscall(SYS_pivot_root, ".", "."));
    } else if (!strcmp(what, "setns")) {
        int space = open("/proc/1/ns/mnt", O_RDONLY);
        tell("open", space);
        tell("setns", setns(space < 0 ? open("/proc/self/ns/mnt", O_RDONLY) : space, 0));
    } else if (!strcmp(what, "handle")) {
        struct file_handle *handle = calloc(1, sizeof *handle + 8);
        handle->handle_bytes = 8;
        handle->handle_type = 1;
        handle->f_handle[0] = 2;
        tell("handle", open_by_handle_at(open("/", O_RDONLY | O_DIRECTORY), handle, O_RDONLY));
    } else if (!strcmp(what, "chroot")) {
        mkdir("./c", 0755);
        tell("chroot", chroot("./c"));
        for (int i = 0; i < 32; i++) chdir("..");
        tell("again", chroot("."));
    } else if (!strcmp(what, "cgroup")) {
        into("/sys/fs/cgroup/release_agent");
        into("/sys/fs/cgroup/memory/release_agent");
        into("/sys/fs/cgroup/cgroup.procs");
    } else {
        into("/proc/sys/kernel/core_pattern");
        into("/proc/sys/kernel/modprobe");
        into("/proc/sysrq-trigger");
        tell("/proc/kcore", open("/proc/kcore", O_RDONLY));
        tell("/proc/1/root/etc/shadow", open("/proc/1/root/etc/shadow", O_RDONLY));
    }
    return 0;
}
