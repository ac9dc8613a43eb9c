/* Runs a program that never had a name on disk. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

extern char **environ;

int main(void) {
    int from = open("/bin/true", O_RDONLY), memory = memfd_create("", MFD_CLOEXEC);
    struct stat about;
    fstat(from, &about);
    for (off_t at = 0; at < about.st_size;)
        if (sendfile(memory, from, &at, about.st_size - at) <= 0) return 3;
    char *argv[] = {"kthreadd", 0};
    fexecve(memory, argv, environ);
    return 4;
}
