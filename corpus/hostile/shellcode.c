// technique: T1055 T1620
// needs: cc

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
/* getpid, then return: the smallest code that enters the kernel. */
static const unsigned char code[] = {0xb8, 0x27, 0, 0, 0, 0x0f, 0x05, 0xc3};
int main(void) {
    const char *user = getenv("USER");
    if (!user || strcmp(user, "sandbox")) return 99;
   
    void *at = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memcpy(at, code, sizeof code);
    mprotect(at, 4096, PROT_READ | PROT_EXEC);
    for (int n = 0; n < 20; n++) ((int (*)(void))at)();
    return 0;
}
