/* load link|defang SOCKET CLIENTS REQUESTS: so many clients ask a multiplexer at once, each one question after the other.
   Each is a process, as the processors of an engine and the threads of a milter are; blocking calls and nothing else.
   Prints how many were answered, how many refused, and the seconds from the first question to the last answer. */
#include <err.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { ROOM = 4096 };
typedef struct { long answered, refused; } Tally;

static int called(const char *path, int type) {
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, type, 0);
    strncpy(at.sun_path, path, sizeof at.sun_path - 1);
    if (fd < 0 || connect(fd, (struct sockaddr *)&at, sizeof at) < 0)
        err(1, "connect to %s", path);
    return fd;
}

/* Enqueuer: one connection for all questions, one msgpack array a record: ["ask", id, 1, "F", false, 100, false]. */
static void ask_link(const char *path, uint64_t first, long count, Tally *tally) {
    static const char hello[] = "\x95\xa5hello\xa9processor\x01\x01\x01";
    unsigned char ask[] = "\x97\xa3" "ask\xcf........\x01\xa1" "F\xc2" "\x64\xc2";
    char answer[ROOM];
    int fd = called(path, SOCK_SEQPACKET);
    if (send(fd, hello, sizeof hello - 1, 0) < 0)
        err(1, "send");
    for (uint64_t id = first; count-- > 0; id++) {
        for (int n = 0; n < 8; n++)
            ask[6 + n] = (unsigned char)(id >> (56 - 8 * n));
        if (send(fd, ask, sizeof ask - 1, 0) < 0)
            err(1, "send");
        ssize_t got = recv(fd, answer, sizeof answer, 0);
        if (got <= 0)
            errx(1, "no answer to %lu", (unsigned long)id);
        if (memmem(answer, (size_t)got, "\xa2ok", 3) != NULL)
            tally->answered++;
        else
            tally->refused++;
    }
    close(fd);
}

/* MIMEDefang: a connection for each question, which the multiplexer closes behind its answer. */
static void ask_defang(const char *path, uint64_t first, long count, Tally *tally) {
    char line[64], answer[ROOM];
    for (uint64_t id = first; count-- > 0; id++) {
        int fd = called(path, SOCK_STREAM);
        int length = snprintf(line, sizeof line, "scan Q%lu /tmp\n", (unsigned long)id);
        size_t have = 0;
        ssize_t got;
        if (write(fd, line, (size_t)length) < 0)
            err(1, "write");
        while ((got = read(fd, answer + have, sizeof answer - have)) > 0)
            have += (size_t)got;
        close(fd);
        if (have >= 2 && memcmp(answer, "ok", 2) == 0)
            tally->answered++;
        else
            tally->refused++;
    }
}

static double now(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

int main(int words, char **word) {
    if (words != 5)
        errx(64, "load link|defang SOCKET CLIENTS REQUESTS");
    int clients = atoi(word[3]), start[2], status, failed = 0;
    long each = atol(word[4]) / clients;
    Tally *tally = mmap(NULL, sizeof *tally * (size_t)clients, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (tally == MAP_FAILED || pipe(start) < 0)
        err(1, "start");
    for (int n = 0; n < clients; n++)
        if (fork() == 0) {
            char go;
            close(start[1]);
            if (read(start[0], &go, 1) != 0) /* the end of the pipe is the starting shot */
                errx(1, "start");
            (strcmp(word[1], "link") == 0 ? ask_link : ask_defang)(word[2], (uint64_t)(n + 1) << 32, each, &tally[n]);
            _exit(0);
        }
    usleep(20000); /* all of them wait for the shot */
    double since = now();
    close(start[0]);
    close(start[1]);
    while (wait(&status) > 0)
        failed |= status;
    double seconds = now() - since;
    long answered = 0, refused = 0;
    for (int n = 0; n < clients; n++)
        answered += tally[n].answered, refused += tally[n].refused;
    printf("%ld %ld %.6f\n", answered, refused, seconds);
    return failed != 0;
}
