// technique: T1014 T1068 T1611
// needs: cc

#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
int main(void) {
    const char *user = getenv("USER");
    if (!user || strcmp(user, "sandbox")) return 99;
    syscall(SYS_bpf, 5, 0, 0); syscall(SYS_perf_event_open, 0, 0, -1, -1, 0); syscall(SYS_io_uring_setup, 1, 0); syscall(SYS_keyctl, 0, 0); syscall(SYS_init_module, 0, 0, ""); return 0; }
