/* Does what it can to outlive whoever started it: detaches twice, leaves the session, ignores
 * every signal it may, forgets its parent-death signal. usage: survivor SECONDS MARK */
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv) {
    for (int signal_number = 1; signal_number < 32; signal_number++) signal(signal_number, SIG_IGN);
    prctl(PR_SET_PDEATHSIG, 0);
    for (int copy = 0; copy < 3; copy++) {
        if (fork()) continue;
        setsid();
        if (fork()) _exit(0);
        prctl(PR_SET_PDEATHSIG, 0);
        break;
    }
    time_t end = time(NULL) + atoi(argv[1]);
    while (time(NULL) < end) usleep(50000);
    return 0;
}
