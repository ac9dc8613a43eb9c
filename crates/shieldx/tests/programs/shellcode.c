/* Puts a few instructions (getpid) into memory and runs them.
 * usage: shellcode rwx   writable and executable at once
 *        shellcode rw-rx written first, then made executable */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

int main(int argc, char **argv) {
#if defined(__x86_64__)
    const unsigned char code[] = {0xb8, 0x27, 0, 0, 0, 0x0f, 0x05, 0xc3};
#elif defined(__aarch64__)
    const unsigned char code[] = {0x88, 0x15, 0x80, 0xd2, 0x01, 0, 0, 0xd4, 0xc0, 0x03, 0x5f, 0xd6};
#else
#error "no shellcode for this machine"
#endif
    int both = !strcmp(argv[1], "rwx");
    int protection = PROT_READ | PROT_WRITE | (both ? PROT_EXEC : 0);
    void *memory = mmap(0, 4096, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return 3;
    memcpy(memory, code, sizeof code);
    if (!both && mprotect(memory, 4096, PROT_READ | PROT_EXEC)) return 4;
    __builtin___clear_cache((char *)memory, (char *)memory + sizeof code);
    printf("pid by shellcode: %d\n", ((int (*)(void))memory)());
    return 0;
}
