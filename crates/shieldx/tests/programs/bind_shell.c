/* Waits on 127.0.0.1:PORT and gives whoever calls a shell; calls itself once. usage: bind_shell PORT */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv) {
    int on = 1, server = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(atoi(argv[1])),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (bind(server, (struct sockaddr *)&address, sizeof address) || listen(server, 1)) return 3;
    if (fork() == 0) {
        int caller = accept(server, NULL, NULL);
        for (int stream = 0; stream < 3; stream++) dup2(caller, stream);
        execl("/bin/sh", "sh", "-i", (char *)0);
        _exit(4);
    }
    int client = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(client, (struct sockaddr *)&address, sizeof address)) return 5;
    const char *words = "id\nexit\n";
    write(client, words, strlen(words));
    char text[512];
    ssize_t got;
    while ((got = read(client, text, sizeof text)) > 0) write(1, text, got);
    wait(NULL);
    return 0;
}
