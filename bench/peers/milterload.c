/* milterload ADDRESS CONNECTIONS MESSAGES FILE: an MTA that only asks a milter, at the end of each message.
   ADDRESS: unix:PATH or inet:PORT. Each connection is a process, with one message after the other; all send the message of
   FILE (line ends LF), each as another queue id. Prints: answered refused seconds p50 p99 (milliseconds from the end of a
   message to its answer). Answers before the end of a message are read if the milter has not refused to give them. */
#include <arpa/inet.h>
#include <err.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { CHUNK = 65535 };
enum { NR_CONN = 0x1000, NR_HELO = 0x2000, NR_MAIL = 0x4000, NR_RCPT = 0x8000, NR_EOH = 0x40000, NR_BODY = 0x80000, NR_HDR = 0x80 };
typedef struct { char *data; size_t size, room; } Buffer;
typedef struct { long answered, refused; } Tally;

static double now(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

static void add(Buffer *to, const void *data, size_t size) {
    if (to->size + size > to->room)
        to->data = realloc(to->data, to->room = 2 * (to->size + size));
    memcpy(to->data + to->size, data, size);
    to->size += size;
}

static void packet(Buffer *to, char letter, const void *data, size_t size) {
    uint32_t length = htonl((uint32_t)size + 1);
    add(to, &length, 4);
    add(to, &letter, 1);
    add(to, data, size);
}

static int called(const char *address) {
    int fd;
    if (strncmp(address, "unix:", 5) == 0) {
        struct sockaddr_un at = {.sun_family = AF_UNIX};
        strncpy(at.sun_path, address + 5, sizeof at.sun_path - 1);
        fd = socket(AF_UNIX, SOCK_STREAM, 0);
        if (fd < 0 || connect(fd, (struct sockaddr *)&at, sizeof at) < 0)
            err(1, "connect to %s", address);
    } else {
        struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(address + 5))};
        at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        fd = socket(AF_INET, SOCK_STREAM, 0);
        if (fd < 0 || connect(fd, (struct sockaddr *)&at, sizeof at) < 0)
            err(1, "connect to %s", address);
    }
    return fd;
}

static void give(int fd, const char *data, size_t size) {
    while (size > 0) {
        ssize_t sent = write(fd, data, size);
        if (sent <= 0)
            err(1, "write");
        data += sent;
        size -= (size_t)sent;
    }
}

static void take(int fd, void *to, size_t size) {
    for (char *at = to; size > 0;) {
        ssize_t got = read(fd, at, size);
        if (got <= 0)
            errx(1, "the milter has gone");
        at += got;
        size -= (size_t)got;
    }
}

/* Reads one packet; returns its letter. */
static char taken(int fd, char *data, size_t room) {
    uint32_t length;
    char letter;
    take(fd, &length, 4);
    length = ntohl(length) - 1;
    take(fd, &letter, 1);
    if (length > room)
        errx(1, "a packet of %u bytes", length);
    take(fd, data, length);
    return letter;
}

/* The packets of a message from its MAIL on; *head is where those of the first `head` bytes end. */
static Buffer made(const char *text, size_t size, uint32_t protocol, int *answers) {
    Buffer all = {0};
    *answers = !(protocol & NR_MAIL) + !(protocol & NR_RCPT) + !(protocol & NR_EOH);
    packet(&all, 'M', "<ann@example.com>", 18);
    packet(&all, 'R', "<bob@example.org>", 18);
    const char *line = text, *end = text + size;
    while (line < end && *line != '\n') {
        const char *next = line;
        do {
            next = memchr(next, '\n', (size_t)(end - next));
            next = next == NULL ? end : next + 1;
        } while (next < end && (*next == ' ' || *next == '\t'));
        const char *colon = memchr(line, ':', (size_t)(next - line));
        if (colon != NULL) {
            Buffer field = {0};
            add(&field, line, (size_t)(colon - line));
            add(&field, "", 1);
            add(&field, colon + 1, (size_t)(next - colon - 2));
            add(&field, "", 1);
            packet(&all, 'L', field.data, field.size);
            *answers += !(protocol & NR_HDR);
            free(field.data);
        }
        line = next;
    }
    packet(&all, 'N', "", 0);
    Buffer body = {0};
    for (line = line < end ? line + 1 : end; line < end;) {
        const char *next = memchr(line, '\n', (size_t)(end - line));
        size_t length = (size_t)((next == NULL ? end : next) - line);
        add(&body, line, length);
        if (next != NULL)
            add(&body, "\r\n", 2);
        line += length + (next != NULL);
    }
    for (size_t at = 0; at < body.size; at += CHUNK) {
        packet(&all, 'B', body.data + at, body.size - at < CHUNK ? body.size - at : CHUNK);
        *answers += !(protocol & NR_BODY);
    }
    free(body.data);
    return all;
}

static void session(const char *address, int number, long first, long count, const char *text, size_t size, Tally *tally, float *waits) {
    static char answer[1 << 20];
    int fd = called(address), answers, early;
    uint32_t options[3] = {htonl(6), htonl(0x1ff), htonl(0x1fffff)};
    Buffer hello = {0};
    packet(&hello, 'O', options, 12);
    give(fd, hello.data, hello.size);
    if (taken(fd, answer, sizeof answer) != 'O')
        errx(1, "no options");
    uint32_t protocol = ntohl(((uint32_t *)(void *)answer)[2]);
    hello.size = 0;
    packet(&hello, 'C', "client.example.com\0" "4\0\x19" "192.0.2.1", 32);
    packet(&hello, 'H', "client.example.com", 19);
    give(fd, hello.data, hello.size);
    for (early = !(protocol & NR_CONN) + !(protocol & NR_HELO); early > 0; early--)
        taken(fd, answer, sizeof answer);
    Buffer all = made(text, size, protocol, &answers);
    for (long n = first; n < first + count; n++) {
        char macros[64];
        Buffer end = {0};
        int length = snprintf(macros, sizeof macros, "Ei%cQ%d.%ld", '\0', number, n);
        packet(&end, 'D', macros, (size_t)length + 1);
        packet(&end, 'E', "", 0);
        give(fd, all.data, all.size);
        for (early = answers; early > 0; early--)
            taken(fd, answer, sizeof answer);
        give(fd, end.data, end.size);
        free(end.data);
        double begun = now();
        char letter;
        do
            letter = taken(fd, answer, sizeof answer);
        while (strchr("cartyd", letter) == NULL);
        waits[n] = (float)((now() - begun) * 1000);
        if (letter == 'c' || letter == 'a')
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
        errx(1, "milterload ADDRESS CONNECTIONS MESSAGES FILE");
    int connections = atoi(words[2]);
    long messages = atol(words[3]) / connections * connections;
    FILE *file = fopen(words[4], "r");
    struct stat about;
    if (file == NULL || fstat(fileno(file), &about) < 0)
        err(1, "%s", words[4]);
    size_t size = (size_t)about.st_size;
    char *text = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fileno(file), 0);
    Tally *tallies = mmap(NULL, sizeof(Tally) * (size_t)connections, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    float *waits = mmap(NULL, sizeof(float) * (size_t)messages, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    double begun = now();
    for (int n = 0; n < connections; n++)
        if (fork() == 0) {
            session(words[1], n, messages / connections * n, messages / connections, text, size, &tallies[n], waits);
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
