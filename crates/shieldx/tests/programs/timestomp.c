/* Drops a program and gives it the age of one that has always been there. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

int main(void) {
    int file = open("./.sshd", O_WRONLY | O_CREAT, 0755);
    write(file, "#!/bin/sh\nexit 0\n", 17);
    close(file);
    struct stat like;
    stat("/bin/ls", &like);
    struct timespec times[2] = {{.tv_sec = 1262304000}, {.tv_sec = 1262304000}};
    return utimensat(AT_FDCWD, "./.sshd", times, 0);
}
