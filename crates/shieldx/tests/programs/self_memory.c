/* Rewrites its own read-only code through /proc/self/mem. */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static int __attribute__((noinline, aligned(64))) answer(void) { return 41; }

int main(void) {
    int memory = open("/proc/self/mem", O_RDWR);
    unsigned char code[64];
    pread(memory, code, sizeof code, (off_t)(long)&answer);
    long wrote = pwrite(memory, code, sizeof code, (off_t)(long)&answer);
    printf("%ld bytes, answer %d\n", wrote, answer());
    return 0;
}
