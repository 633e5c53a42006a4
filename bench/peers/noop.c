/* A helper that judges at once: of Enqueuer's multiplexer, or with -server of MIMEDefang's. All lines of one read are
   answered by one write. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { ROOM = 1 << 16 };

static char *answer(char *out, const char *line, int defang) {
    if (defang)
        return out + sprintf(out, "ok\n");
    const char *verb = strchr(line, ' ');
    size_t digits = verb ? (size_t)(verb - line) : 0;
    return out + sprintf(out, "%.*s %s\n", (int)digits, line, verb && strncmp(verb, " INTF", 5) == 0 ? "INTF 4" : "OK");
}

int main(int count, char **words) {
    static char lines[ROOM], answers[ROOM];
    int defang = count > 1 && strcmp(words[1], "-server") == 0;
    size_t kept = 0;
    ssize_t got;
    while ((got = read(0, lines + kept, ROOM - 1 - kept)) > 0) {
        char *line = lines, *out = answers, *end;
        lines[kept + (size_t)got] = '\0';
        while ((end = strchr(line, '\n')) != NULL) {
            *end = '\0';
            out = answer(out, line, defang);
            line = end + 1;
        }
        kept = strlen(line);
        memmove(lines, line, kept);
        if (write(1, answers, (size_t)(out - answers)) < 0)
            return 1;
    }
    return 0;
}
