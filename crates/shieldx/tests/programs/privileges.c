/* Asks for rights it does not have. usage: privileges file-caps FILE | setuid | capset */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

int main(int argc, char **argv) {
    int ok;
    if (!strcmp(argv[1], "file-caps")) {
        int file = open("./.tool", O_WRONLY | O_CREAT, 0755);
        write(file, "#!/bin/sh\n", 10);
        close(file);
        struct vfs_cap_data grant = {.magic_etc = VFS_CAP_REVISION_2 | VFS_CAP_FLAGS_EFFECTIVE};
        grant.data[0].permitted = 1u << CAP_SETUID;
        ok = setxattr("./.tool", "security.capability", &grant, sizeof grant, 0);
    } else if (!strcmp(argv[1], "capset")) {
        struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
        struct __user_cap_data_struct data[2] = {{~0u, ~0u, 0}, {~0u, ~0u, 0}};
        ok = syscall(SYS_capset, &header, data);
    } else {
        ok = setgid(0) | setuid(0) | setresuid(0, 0, 0);
    }
    printf("%s: %s\n", argv[1], ok ? strerror(errno) : "done");
    return 0;
}
