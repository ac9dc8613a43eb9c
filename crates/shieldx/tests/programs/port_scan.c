/* Knocks at a thousand ports of the sandbox's own loopback. */
#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

int main(void) {
    for (int port = 1; port <= 1000; port++) {
        int knock = socket(AF_INET, SOCK_STREAM, 0);
        struct sockaddr_in door = {.sin_family = AF_INET,
                                   .sin_port = htons(port),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        connect(knock, (struct sockaddr *)&door, sizeof door);
        close(knock);
    }
    return 0;
}
