/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Puts libfido2 before devices that are sockets: the directory LAB_FIDO2 in the environment has one for each (`authenticator.py`).
 *
 * Loaded as libfido2.so.1 it replaces the listing of devices and the opening of one; all else is done by the real library, REAL. */
#include <dirent.h>
#include <dlfcn.h>
#include <fido.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { REPORT = 64 };

static void *opened(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    int *kept = malloc(sizeof(*kept));

    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    if (fd < 0 || kept == NULL || connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
        if (fd >= 0)
            close(fd);
        free(kept);
        return NULL;
    }
    *kept = fd;
    return kept;
}

static void closed(void *handle)
{
    close(*(int *)handle);
    free(handle);
}

static int received(void *handle, unsigned char *report, size_t length, int milliseconds)
{
    struct pollfd ready = {.fd = *(int *)handle, .events = POLLIN};

    if (poll(&ready, 1, milliseconds) != 1)
        return -1;
    return (int)recv(ready.fd, report, length, 0);
}

/* The first byte is the number of the report, which a socket has no use for. */
static int sent(void *handle, const unsigned char *report, size_t length)
{
    return send(*(int *)handle, report + 1, length - 1, MSG_NOSIGNAL) == (ssize_t)length - 1 ? (int)length : -1;
}

static const fido_dev_io_t IO = {opened, closed, received, sent};

int fido_dev_info_manifest(fido_dev_info_t *list, size_t room, size_t *count)
{
    const char *directory = getenv("LAB_FIDO2");
    struct dirent **names;
    char path[512];
    int found = directory ? scandir(directory, &names, NULL, alphasort) : -1;

    *count = 0;
    for (int i = 0; i < found; i++) {
        if (names[i]->d_name[0] != '.' && *count < room) {
            snprintf(path, sizeof(path), "%s/%s", directory, names[i]->d_name);
            fido_dev_info_set(list, (*count)++, path, "lab", names[i]->d_name, &IO, NULL);
        }
        free(names[i]);
    }
    if (found >= 0)
        free(names);
    return FIDO_OK;
}

int fido_dev_open(fido_dev_t *device, const char *path)
{
    static int (*real)(fido_dev_t *, const char *);

    if (real == NULL)
        real = (int (*)(fido_dev_t *, const char *))dlsym(dlopen(REAL, RTLD_NOW), "fido_dev_open");
    fido_dev_set_io_functions(device, &IO);
    return real(device, path);
}
