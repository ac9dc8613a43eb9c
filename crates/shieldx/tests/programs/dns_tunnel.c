/* Sends data out in the labels of DNS questions, to the sandbox's own loopback. */
#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int main(void) {
    int out = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in server = {.sin_family = AF_INET,
                                 .sin_port = htons(53),
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    for (int chunk = 0; chunk < 120; chunk++) {
        uint8_t packet[512] = {chunk, 1, 1, 0, 0, 1};
        uint8_t *at = packet + 12;
        for (int label = 0; label < 3; label++) {
            *at++ = 50;
            for (int i = 0; i < 50; i++) *at++ = "abcdefghijklmnopqrstuvwxyz234567"[rand() & 31];
        }
        const uint8_t tail[] = {1, 't', 7, 'e', 'x', 'a', 'm', 'p', 'l', 'e', 3, 'c', 'o', 'm', 0,
                                0, 16, 0, 1};
        memcpy(at, tail, sizeof tail);
        at += sizeof tail;
        sendto(out, packet, at - packet, 0, (struct sockaddr *)&server, sizeof server);
    }
    return 0;
}
