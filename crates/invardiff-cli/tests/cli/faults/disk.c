/* A disk that fails, for programs that are started with this as LD_PRELOAD.
 *
 * Calls that change a file below the folder FAULT_DIR are counted: opening one to write, writing, and syncing a file or
 * folder. With FAULT_AT=n the n-th of them ends the program (FAULT_MODE=kill: after half of the bytes, where it writes) or fails
 * (FAULT_MODE=fail: no space left, or an error of the disk). With FAULT_EVERY=n every n-th fails.
 * At the end the number of calls is written to FAULT_COUNT, if that is given.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static atomic_long calls;

static long number(const char *name) {
    const char *text = getenv(name);
    return text ? atol(text) : 0;
}

static int below(const char *path) {
    const char *folder = getenv("FAULT_DIR");
    return folder && path && strncmp(path, folder, strlen(folder)) == 0;
}

static int is_ours(int fd) {
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return below(path);
}

/* The number of calls, when the program ends by itself. */
__attribute__((destructor)) static void count(void) {
    const char *path = getenv("FAULT_COUNT");
    FILE *file = path ? fopen(path, "w") : NULL;
    if (!file) return;
    fprintf(file, "%ld", atomic_load(&calls));
    fclose(file);
}

/* Whether this call is the one: 0 it is not, 1 it fails, 2 it is the program's last. */
static int fault(void) {
    long call = atomic_fetch_add(&calls, 1) + 1, at = number("FAULT_AT"), every = number("FAULT_EVERY");
    const char *mode = getenv("FAULT_MODE");
    if (call != at && !(every > 0 && call % every == 0)) return 0;
    return mode && strcmp(mode, "kill") == 0 ? 2 : 1;
}

static int opens(const char *name, const char *path, int flags, mode_t mode) {
    int (*real)(const char *, int, ...) = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, name);
    if ((flags & O_ACCMODE) != O_RDONLY && below(path)) {
        switch (fault()) {
        case 1: errno = ENOSPC; return -1;
        case 2: raise(SIGKILL);
        }
    }
    return real(path, flags, mode);
}

static mode_t mode_of(int flags, va_list rest) {
    return flags & (O_CREAT | __O_TMPFILE) ? va_arg(rest, mode_t) : 0;
}

int open(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    mode_t mode = mode_of(flags, rest);
    va_end(rest);
    return opens("open", path, flags, mode);
}

int open64(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    mode_t mode = mode_of(flags, rest);
    va_end(rest);
    return opens("open64", path, flags, mode);
}

ssize_t write(int fd, const void *bytes, size_t count) {
    static ssize_t (*real)(int, const void *, size_t);
    if (!real) real = (ssize_t (*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write");
    if (is_ours(fd)) {
        switch (fault()) {
        case 1: errno = ENOSPC; return -1;
        case 2:
            if (real(fd, bytes, count / 2) < 0) _exit(70);
            raise(SIGKILL);
        }
    }
    return real(fd, bytes, count);
}

static int syncs(const char *name, int fd) {
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    if (is_ours(fd)) {
        switch (fault()) {
        case 1: errno = EIO; return -1;
        case 2: raise(SIGKILL);
        }
    }
    return real(fd);
}

int fsync(int fd) { return syncs("fsync", fd); }

int fdatasync(int fd) { return syncs("fdatasync", fd); }
