/* clamdload SOCKET CONNECTIONS MESSAGES FILE: clients of clamd. Each is a process, with one scan after the other in one session;
   clamd opens the file by its name. Prints what milterload prints. */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

typedef struct { long answered, refused; } Tally;

static double now(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

static int called(const char *path) {
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    strncpy(at.sun_path, path, sizeof at.sun_path - 1);
    if (fd < 0 || connect(fd, (struct sockaddr *)&at, sizeof at) < 0)
        err(1, "connect to %s", path);
    return fd;
}

static void session(const char *path, long first, long count, const char *file, Tally *tally, float *waits) {
    char words[4096], answer[4096];
    int fd = called(path), length = snprintf(words, sizeof words, "zSCAN %s", file) + 1;
    if (write(fd, "zIDSESSION", 11) != 11)
        err(1, "write");
    for (long n = first; n < first + count; n++) {
        double begun = now();
        size_t have = 0;
        if (write(fd, words, (size_t)length) != length)
            err(1, "write");
        do {
            ssize_t got = read(fd, answer + have, sizeof answer - have);
            if (got <= 0)
                errx(1, "clamd has gone");
            have += (size_t)got;
        } while (answer[have - 1] != '\0');
        waits[n] = (float)((now() - begun) * 1000);
        if (have > 4 && strcmp(answer + have - 4, " OK") == 0)
            tally->answered++;
        else
            tally->refused++;
    }
    close(fd);
}

static int smaller(const void *one, const void *other) {
    float a = *(const float *)one, b = *(const float *)other;
    return (a > b) - (a < b);
}

int main(int count, char **words) {
    if (count != 5)
        errx(1, "clamdload SOCKET CONNECTIONS MESSAGES FILE");
    int connections = atoi(words[2]);
    long each = atol(words[3]) / connections, messages = each * connections;
    Tally *tallies = mmap(NULL, sizeof(Tally) * (size_t)connections, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    float *waits = mmap(NULL, sizeof(float) * (size_t)messages, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    double begun = now();
    for (int n = 0; n < connections; n++)
        if (fork() == 0) {
            session(words[1], each * n, each, words[4], &tallies[n], waits);
            _exit(0);
        }
    int status, failed = 0;
    while (wait(&status) > 0)
        failed += status != 0;
    double seconds = now() - begun;
    Tally all = {0, 0};
    for (int n = 0; n < connections; n++) {
        all.answered += tallies[n].answered;
        all.refused += tallies[n].refused;
    }
    qsort(waits, (size_t)messages, sizeof *waits, smaller);
    printf("%ld %ld %f %f %f\n", all.answered, all.refused, seconds, waits[messages / 2], waits[messages * 99 / 100]);
    return failed != 0;
}
