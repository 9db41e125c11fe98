/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The floor: one file over libssh's own sftp_aio_*, 32 requests of what limits@openssh.com allows in flight, and nothing else.
 * aio put|get HOST PORT USER KEY KNOWN_HOSTS SOURCE TARGET
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <libssh/libssh.h>
#include <libssh/sftp.h>

#define AT_ONCE 32

static ssh_session session;

static void check(int good, const char *what)
{
    if (!good) {
        fprintf(stderr, "%s: %s\n", what, session ? ssh_get_error(session) : strerror(errno));
        exit(1);
    }
}

static void connect_to(char **words)
{
    ssh_key key = NULL;
    int nodelay = 1;
    const char *ciphers = "aes128-gcm@openssh.com";

    session = ssh_new();
    ssh_options_set(session, SSH_OPTIONS_HOST, words[0]);
    ssh_options_set(session, SSH_OPTIONS_PORT_STR, words[1]);
    ssh_options_set(session, SSH_OPTIONS_USER, words[2]);
    ssh_options_set(session, SSH_OPTIONS_KNOWNHOSTS, words[4]);
    ssh_options_set(session, SSH_OPTIONS_CIPHERS_C_S, ciphers);
    ssh_options_set(session, SSH_OPTIONS_CIPHERS_S_C, ciphers);
    ssh_options_set(session, SSH_OPTIONS_NODELAY, &nodelay);
    check(ssh_connect(session) == SSH_OK, "connect");
    check(ssh_session_is_known_server(session) == SSH_KNOWN_HOSTS_OK, "host key");
    check(ssh_pki_import_privkey_file(words[3], NULL, NULL, NULL, &key) == SSH_OK, "key");
    check(ssh_userauth_publickey(session, NULL, key) == SSH_AUTH_SUCCESS, "login");
    ssh_key_free(key);
}

static void put(sftp_session sftp, int fd, const char *target, size_t chunk)
{
    sftp_file file = sftp_open(sftp, target, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    sftp_aio flight[AT_ONCE];
    size_t sent = 0, done = 0;
    ssize_t got = 1;
    char *buffer = malloc(chunk);

    check(file && buffer, "open");
    while (got > 0 || done < sent) {
        while (got > 0 && sent - done < AT_ONCE) {
            got = read(fd, buffer, chunk);
            check(got >= 0, "read");
            if (got > 0)
                check(sftp_aio_begin_write(file, buffer, got, &flight[sent++ % AT_ONCE]) == got, "write");
        }
        if (done < sent)
            check(sftp_aio_wait_write(&flight[done++ % AT_ONCE]) > 0, "write");
    }
    check(sftp_close(file) == SSH_OK, "close");
}

static void get(sftp_session sftp, const char *source, int fd, size_t chunk)
{
    sftp_file file = sftp_open(sftp, source, O_RDONLY, 0);
    sftp_attributes about = file ? sftp_fstat(file) : NULL;
    sftp_aio flight[AT_ONCE];
    size_t asked = 0, done = 0;
    uint64_t left;
    char *buffer = malloc(chunk);

    check(about && buffer, "open");
    left = about->size;
    while (left || done < asked) {
        while (left && asked - done < AT_ONCE) {
            size_t size = left < chunk ? left : chunk;
            check(sftp_aio_begin_read(file, size, &flight[asked++ % AT_ONCE]) == (ssize_t)size, "read");
            left -= size;
        }
        ssize_t got = sftp_aio_wait_read(&flight[done++ % AT_ONCE], buffer, chunk);
        check(got > 0 && write(fd, buffer, got) == got, "read");
    }
    check(sftp_close(file) == SSH_OK, "close");
}

int main(int count, char **words)
{
    if (count != 9)
        return 2;
    int sends = !strcmp(words[1], "put");
    int fd = sends ? open(words[7], O_RDONLY) : open(words[8], O_WRONLY | O_CREAT | O_TRUNC, 0644);

    check(fd >= 0, "local file");
    connect_to(words + 2);
    sftp_session sftp = sftp_new(session);
    check(sftp && sftp_init(sftp) == SSH_OK, "sftp");
    sftp_limits_t limits = sftp_limits(sftp);
    check(limits != NULL, "limits");
    if (sends)
        put(sftp, fd, words[8], limits->max_write_length);
    else
        get(sftp, words[7], fd, limits->max_read_length);
    ssh_disconnect(session);
    return close(fd) != 0;
}
