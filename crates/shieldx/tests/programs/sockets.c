/* Asks for sockets that no ordinary program needs. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void ask(const char *name, int family, int type, int protocol) {
    int made = socket(family, type, protocol);
    printf("%s: %s\n", name, made < 0 ? strerror(errno) : "done");
    if (made >= 0) close(made);
}

int main(void) {
    ask("packet", AF_PACKET, SOCK_RAW, htons(3));
    ask("raw", AF_INET, SOCK_RAW, 1);
    ask("alg", 38, SOCK_SEQPACKET, 0);
    ask("vsock", 40, SOCK_STREAM, 0);
    return 0;
}
