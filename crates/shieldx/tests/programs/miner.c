/* Logs in to a pool on the sandbox's own loopback and burns a little processor time.
 * usage: miner -o stratum+tcp://127.0.0.1:3333 -u WALLET */
#include <arpa/inet.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static void *burn(void *unused) {
    volatile uint64_t hash = 1469598103934665603ull;
    time_t end = time(NULL) + 2;
    while (time(NULL) < end)
        for (int i = 0; i < 1000000; i++) hash = (hash ^ i) * 1099511628211ull;
    return unused;
}

int main(void) {
    prctl(PR_SET_NAME, "xmrig");
    int server = socket(AF_INET, SOCK_STREAM, 0), pool = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(3333),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    bind(server, (struct sockaddr *)&address, sizeof address);
    listen(server, 1);
    if (!connect(pool, (struct sockaddr *)&address, sizeof address)) {
        const char *login = "{\"id\":1,\"method\":\"login\",\"params\":{\"login\":\"wallet\",\"agent\":\"XMRig/6\"}}\n";
        write(pool, login, strlen(login));
    }
    pthread_t threads[2];
    for (int i = 0; i < 2; i++) pthread_create(&threads[i], NULL, burn, NULL);
    for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
    return 0;
}
