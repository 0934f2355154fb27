/* A probe tries one thing in a process of its own. It returns 0 if that worked, and -1 with errno if not. */
#ifndef PROBE_H
#define PROBE_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct probe {
    const char *name;
    int (*tries)(void);
};

/* One that ended without a word is told by its signal, behind 1000. */
static int outcome(const struct probe *probe) {
    fflush(stdout);
    pid_t child = fork();
    if (child < 0) {
        return errno;
    }
    if (child == 0) {
        alarm(10);
        errno = 0;
        int got = probe->tries();
        _exit(got >= 0 ? 0 : (errno > 0 && errno < 256 ? errno : 255));
    }
    int status = 0;
    while (waitpid(child, &status, 0) < 0) {
        if (errno != EINTR) {
            return errno;
        }
    }
    return WIFSIGNALED(status) ? 1000 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* All of them, or those that the arguments name. */
static int probe_all(const struct probe *probes, size_t count, int argc, char **argv) {
    for (size_t at = 0; at < count; at++) {
        int wanted = argc < 2;
        for (int word = 1; word < argc; word++) {
            wanted |= strcmp(argv[word], probes[at].name) == 0;
        }
        if (wanted) {
            int code = outcome(&probes[at]);
            printf("%s=%d\n", probes[at].name, code);
        }
    }
    return 0;
}

#define PROBES(list, argc, argv) probe_all(list, sizeof(list) / sizeof((list)[0]), argc, argv)

#endif
