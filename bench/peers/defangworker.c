/* A worker of MIMEDefang that does nothing: it lists no results for a message ("scan ID FOLDER"), and says ok. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(void) {
    static char line[1 << 16];
    while (fgets(line, sizeof line, stdin) != NULL) {
        char folder[4096], path[4200];
        if (sscanf(line, "scan %*s %4095s", folder) == 1) {
            snprintf(path, sizeof path, "%s/RESULTS", folder);
            FILE *results = fopen(path, "w");
            if (results != NULL) {
                fputs("F\n", results);
                fclose(results);
            }
        }
        if (write(1, "ok\n", 3) < 0)
            return 1;
    }
    return 0;
}
