/* The far end of a shell: listens on the sandbox's own loopback, starts the command that is to
 * call back, sends the caller a few words to run and shows what came back.
 * usage: listener PORT COMMAND... */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv) {
    if (argc < 3) return 2;
    signal(SIGPIPE, SIG_IGN);
    int on = 1, server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(atoi(argv[1])),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (bind(server, (struct sockaddr *)&address, sizeof address) || listen(server, 4)) {
        perror("listener");
        return 3;
    }
    pid_t child = fork();
    if (child == 0) {
        execvp(argv[2], argv + 2);
        _exit(127);
    }
    struct pollfd waiting = {.fd = server, .events = POLLIN};
    if (poll(&waiting, 1, 8000) == 1) {
        int peer = accept4(server, NULL, NULL, SOCK_CLOEXEC);
        const char *words = "id\necho pwned\nexit\n";
        write(peer, words, strlen(words));
        struct pollfd answer = {.fd = peer, .events = POLLIN};
        char text[512];
        ssize_t got;
        while (poll(&answer, 1, 5000) == 1 && (got = read(peer, text, sizeof text)) > 0)
            write(1, text, got);
        close(peer);
    } else {
        puts("listener: nobody called");
    }
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    return 0;
}
