/* Deletes its own program file and works on. */
#include <limits.h>
#include <unistd.h>

int main(void) {
    char path[PATH_MAX] = {0};
    readlink("/proc/self/exe", path, sizeof path - 1);
    unlink(path);
    usleep(100000);
    return access(path, F_OK) == 0;
}
