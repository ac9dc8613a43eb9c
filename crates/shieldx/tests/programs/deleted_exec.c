/* Copies a program, opens the copy, deletes its name and runs it through the descriptor. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

extern char **environ;

int main(void) {
    int from = open("/bin/true", O_RDONLY), to = open("./.stage2", O_WRONLY | O_CREAT, 0700);
    struct stat about;
    fstat(from, &about);
    for (off_t at = 0; at < about.st_size;)
        if (sendfile(to, from, &at, about.st_size - at) <= 0) return 3;
    close(to);
    int image = open("./.stage2", O_RDONLY | O_CLOEXEC);
    unlink("./.stage2");
    char *argv[] = {"stage2", 0};
    fexecve(image, argv, environ);
    return 4;
}
