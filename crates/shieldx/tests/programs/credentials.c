/* Opens one credential store after the other under each plausible home. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(void) {
    const char *homes[] = {getenv("HOME"), "/root", "/home/user"};
    const char *stores[] = {".ssh/id_rsa", ".ssh/id_ecdsa", ".aws/credentials", ".netrc",
                            ".mozilla/firefox/profiles.ini", ".config/google-chrome/Default/Login Data",
                            ".local/share/keyrings/login.keyring", ".bash_history"};
    char path[4096], text[256];
    for (unsigned home = 0; home < sizeof homes / sizeof *homes; home++)
        for (unsigned store = 0; homes[home] && store < sizeof stores / sizeof *stores; store++) {
            snprintf(path, sizeof path, "%s/%s", homes[home], stores[store]);
            int file = open(path, O_RDONLY);
            if (file >= 0) {
                read(file, text, sizeof text);
                close(file);
            }
        }
    int shadow = open("/etc/shadow", O_RDONLY);
    if (shadow >= 0) close(shadow);
    return 0;
}
