// technique: T1055.008 T1055
// needs: cc

#include <stdlib.h>
#include <string.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>
int main(void) {
    const char *user = getenv("USER");
    if (!user || strcmp(user, "sandbox")) return 99;
   
    pid_t child = fork();
    if (!child) for (;;) pause();
    ptrace(PTRACE_ATTACH, child, 0, 0);
    waitpid(child, 0, WNOHANG);
    ptrace(PTRACE_POKETEXT, child, (void *)main, (void *)0x90909090);
    kill(child, SIGKILL);
    return 0;
}
