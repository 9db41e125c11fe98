/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What must run without the GIL: the lock of a session, the one wait, and the buffers that libssh's callbacks fill.
 *
 * Life.  A px_session is shared by counting references: the Session object holds one, each channel another.  So they can be
 * closed, dropped or collected in any order.  `ssh` is NULL as soon as the session is closed; a channel's own `ssh` pointer is
 * good exactly as long as its session's is (libssh frees the channels with their session).
 *
 * Threads.  Every call into libssh is made with `lock` held.  Waiting is done without it, by one thread at a time: the first
 * that has to wait polls the socket, the others sleep on `changed`, and all are woken when any thread has read from the socket: when
 * it leaves, or waits itself.  So no thread can miss data that another one read, and none spins.  `wake` gets the polling thread out of poll(2) early: output that could not be sent at
 * once, or close() by another thread.
 *
 * Fork.  A child must neither talk on nor close its parent's connection: px_enter refuses there and px_unref only drops the
 * child's copy of the descriptor. */
#ifndef PX_ENGINE_H
#define PX_ENGINE_H

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <fcntl.h>

#include <libssh/libssh.h>
#include <libssh/callbacks.h>
#include <libssh/server.h> /* ssh_send_keepalive */

enum { PX_OK = 0, PX_CLOSED = -10, PX_FORKED = -11, PX_NOMEM = -12, PX_DEAD = -13, PX_DROPPED = -14, PX_UNCONNECTED = -15, PX_BUSY = -16, PX_ANONYMOUS = -17 };
enum { PX_LOG_MOST = 1 << 20, PX_HIGH_WATER = 1 << 20, PX_PUMPS_A_TURN = 64, PX_OFFERED_MOST = 16 };

#ifdef PX_WIPE_FREED
#include <malloc.h>

/* ---- what libssh frees ---- */

/* libssh overwrites passwords and keys of its own, and not the text that it reads a key from.  Where it is linked into this module all that
 * it frees comes here (ld --wrap=free) and is overwritten first; but for large blocks, which hold the data of channels. */
enum { PX_WIPE_MOST = 1 << 13 };

void __real_free(void *block);
void __wrap_free(void *block);

void __wrap_free(void *block)
{
    size_t size = block == NULL ? 0 : malloc_usable_size(block);

    if (size > 0 && size <= PX_WIPE_MOST) {
        memset(block, 0, size);
        __asm__ __volatile__("" : : "r"(block) : "memory"); /* or the compiler would leave it out */
    }
    __real_free(block);
}
#endif

/* ---- bytes that are appended at the end and taken from the start ---- */

typedef struct {
    char *data;
    size_t start, end, size;
} px_bytes;

static inline size_t px_length(const px_bytes *bytes) { return bytes->end - bytes->start; }

/* About how much there is, for who looks without the lock while others append and take: never more than there is room for. */
static inline size_t px_glance(const px_bytes *bytes)
{
    size_t start = __atomic_load_n(&bytes->start, __ATOMIC_RELAXED), end = __atomic_load_n(&bytes->end, __ATOMIC_RELAXED);

    return end > start ? end - start : 0;
}

/* Whether this thread is the only one at what the flag guards; it clears it again. */
static inline int px_claim(int *flag) { return !__atomic_exchange_n(flag, 1, __ATOMIC_ACQUIRE); }

static inline void px_unclaim(int *flag) { __atomic_store_n(flag, 0, __ATOMIC_RELEASE); }

/* Room for `more` bytes at the end, or NULL. */
static char *px_room(px_bytes *bytes, size_t more)
{
    size_t length = px_length(bytes), size = bytes->size ? bytes->size : 4096;
    char *data;

    if (bytes->size - bytes->end >= more)
        return bytes->data + bytes->end;
    if (bytes->start >= length && length > 0) { /* at least half is used up: move the rest down */
        memcpy(bytes->data, bytes->data + bytes->start, length);
        bytes->start = 0;
        bytes->end = length;
    }
    while (size - bytes->end < more) {
        if (size > SIZE_MAX / 2)
            return NULL;
        size *= 2;
    }
    if (size > bytes->size) {
        data = realloc(bytes->data, size); /* which the kernel does for large ones without copying */
        if (data == NULL)
            return NULL;
        bytes->data = data;
        bytes->size = size;
    }
    return bytes->data + bytes->end;
}

static int px_append(px_bytes *bytes, const void *data, size_t length)
{
    char *room = length > 0 ? px_room(bytes, length) : NULL;

    if (length == 0)
        return PX_OK;
    if (room == NULL)
        return PX_NOMEM;
    memcpy(room, data, length);
    bytes->end += length;
    return PX_OK;
}

static void px_take(px_bytes *bytes, size_t length)
{
    bytes->start += length;
    if (bytes->start == bytes->end)
        bytes->start = bytes->end = 0;
}

static void px_clear(px_bytes *bytes)
{
    free(bytes->data);
    memset(bytes, 0, sizeof(*bytes));
}

/* ---- sessions ---- */

typedef struct {
    ssh_session ssh;
    ssh_event event;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int references;
    pid_t creator;
    int fd;
    int wake[2];
    int polling, waiting;
    int dead, silent;
    int enough;             /* a channel has what its reader takes at a time */
    struct ssh_counter_struct traffic;
    int64_t heard;          /* when the peer last sent anything, in px_now's milliseconds */
    uint64_t heard_bytes;
    uint64_t shared_bytes;  /* of those that were read: everybody who waits was woken after them */
    int64_t dropped;        /* when a channel was last closed */
    int64_t alive_interval; /* milliseconds of silence before each keepalive; 0: none are sent */
    int alive_max, probes;
    int log_level;
    px_bytes log;           /* records: int level, uint32_t length, text */
    ssh_channel *orphans;   /* given up while the server had not answered their opening */
    size_t orphan_count;
    struct ssh_callbacks_struct callbacks;
    ssh_channel offered[PX_OFFERED_MOST]; /* opened by the server, to our agent, and not taken yet */
    size_t offered_count;
} px_session;

static void px_unref(px_session *session);

static int64_t px_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void px_on_log(int level, const char *function, const char *text, void *userdata)
{
    px_session *session = userdata;
    uint32_t head[2];

    (void)function;
    head[0] = (uint32_t)level;
    head[1] = (uint32_t)strlen(text);
    if (session == NULL || px_length(&session->log) + sizeof(head) + head[1] > PX_LOG_MOST)
        return;
    if (px_room(&session->log, sizeof(head) + head[1]) == NULL)
        return;
    px_append(&session->log, head, sizeof(head));
    px_append(&session->log, text, head[1]);
}

/* Keep a text that goes away with the lock, or is somebody else's; cut to what there is room for. */
static void px_say(char *to, size_t size, const char *text)
{
    strncpy(to, text, size - 1);
    to[size - 1] = 0;
}

static char *px_copy(const char *text) { return text == NULL ? NULL : strdup(text); }

/* libssh keeps its log settings per thread: set them each time a thread comes in. */
static void px_log_to(px_session *session)
{
    ssh_set_log_level(session ? session->log_level : SSH_LOG_NONE);
    ssh_set_log_userdata(session);
    ssh_set_log_callback(px_on_log);
}

static px_session *px_new(void)
{
    px_session *session = calloc(1, sizeof(*session));
    pthread_condattr_t clock;

    if (session == NULL)
        return NULL;
    session->references = 1;
    session->creator = getpid();
    session->fd = session->wake[0] = session->wake[1] = -1;
    pthread_mutex_init(&session->lock, NULL);
    pthread_condattr_init(&clock);
#ifndef __APPLE__
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
#endif
    pthread_cond_init(&session->changed, &clock);
    pthread_condattr_destroy(&clock);
    px_log_to(NULL);
    session->ssh = ssh_new();
    if (session->ssh == NULL) {
        px_unref(session);
        return NULL;
    }
    ssh_set_blocking(session->ssh, 0);
    return session;
}

/* Take the connected socket `fd`, which is the session's to close from here on, whatever comes of it, and begin to talk over it.  Text gets
 * the word on a failure, lost whether the connection is to blame.  The lock is held. */
static int px_attach(px_session *session, int fd, char *text, size_t size, int *lost)
{
    if (session->event != NULL) {
        px_say(text, size, "the session is connected already");
    } else if (fcntl(fd, F_GETFD) < 0 || (session->wake[0] < 0 && pipe(session->wake) != 0)) {
        px_say(text, size, strerror(errno));
        *lost = 1;
    } else if ((session->event = ssh_event_new()) == NULL || ssh_options_set(session->ssh, SSH_OPTIONS_FD, &fd) != SSH_OK) {
        px_say(text, size, strerror(ENOMEM));
    } else {
        for (int i = 0; i < 2; i++) {
            fcntl(session->wake[i], F_SETFD, FD_CLOEXEC);
            fcntl(session->wake[i], F_SETFL, O_NONBLOCK);
        }
        session->fd = fd;
        session->heard = px_now();
        ssh_set_counters(session->ssh, &session->traffic, NULL);
        /* What an event adopts exists from the first call on, which does not wait. */
        if (ssh_connect(session->ssh) != SSH_ERROR && ssh_event_add_session(session->event, session->ssh) == SSH_OK)
            return PX_OK;
        px_say(text, size, ssh_get_error(session->ssh));
        *lost = (ssh_get_status(session->ssh) & (SSH_CLOSED | SSH_CLOSED_ERROR)) != 0;
        session->dead = 1;
        if (*lost)
            return SSH_ERROR; /* as with any connection, px_close sees to it */
        session->fd = -1; /* an option is wrong: libssh did not come to look at the socket */
    }
    close(fd);
    return SSH_ERROR;
}

/* Take the lock, also of a closed session: for what is buffered.  The caller leaves again only after PX_OK. */
static int px_lock(px_session *session)
{
    if (session->creator != getpid())
        return PX_FORKED;
    pthread_mutex_lock(&session->lock);
    px_log_to(session);
    return PX_OK;
}

/* Take the lock in order to call libssh.  The caller leaves again only after PX_OK. */
static int px_enter(px_session *session)
{
    if (px_lock(session) != PX_OK)
        return PX_FORKED;
    if (session->ssh == NULL) {
        pthread_mutex_unlock(&session->lock);
        return PX_CLOSED;
    }
    return PX_OK;
}

/* px_enter without waiting, for callers that hold the GIL: PX_BUSY when another thread is in. */
static int px_try_enter(px_session *session)
{
    if (session->creator != getpid())
        return PX_FORKED;
    if (pthread_mutex_trylock(&session->lock) != 0)
        return PX_BUSY;
    if (session->ssh == NULL) {
        pthread_mutex_unlock(&session->lock);
        return PX_CLOSED;
    }
    px_log_to(session);
    return PX_OK;
}

static void px_wake(px_session *session)
{
    char byte = 0;

    if (session->polling && write(session->wake[1], &byte, 1) < 0)
        return; /* the pipe is full: it wakes as it is */
}

/* Wake the threads that wait for what this one may have read; most calls of libssh's read what is there.  The lock is held. */
static void px_share(px_session *session)
{
    if (session->traffic.in_bytes == session->shared_bytes)
        return;
    session->shared_bytes = session->traffic.in_bytes;
    px_wake(session);
    if (session->waiting > 0)
        pthread_cond_broadcast(&session->changed);
}

static void px_leave(px_session *session)
{
    px_share(session);
    pthread_mutex_unlock(&session->lock);
}

/* Give up a channel that is not answered yet: it is freed as soon as it is, so that the server gets its slot back. */
static void px_orphan(px_session *session, ssh_channel channel)
{
    ssh_channel *more = realloc(session->orphans, (session->orphan_count + 1) * sizeof(*more));

    if (more == NULL)
        return; /* freed with the session */
    session->orphans = more;
    session->orphans[session->orphan_count++] = channel;
}

static void px_reap(px_session *session)
{
    for (size_t i = session->orphan_count; i-- > 0;) {
        if (ssh_channel_is_open(session->orphans[i])) {
            ssh_channel_free(session->orphans[i]);
            session->orphans[i] = session->orphans[--session->orphan_count];
        }
    }
}

/* Let libssh act on what the network brought, without waiting.  The lock is held. */
static void px_pump(px_session *session)
{
    int rc = SSH_OK;

    if (session->dead || session->event == NULL)
        return;
    session->enough = 0;
    /* Not beyond an error: the end of the stream, which mostly follows, would take the place of the reason. */
    for (int i = 0; i < PX_PUMPS_A_TURN && rc == SSH_OK && !session->enough && !(ssh_get_status(session->ssh) & SSH_CLOSED_ERROR); i++)
        rc = ssh_event_dopoll(session->event, 0);
    if (session->traffic.in_bytes != session->heard_bytes) {
        session->heard_bytes = session->traffic.in_bytes;
        session->heard = px_now();
        session->probes = 0;
    }
    if (session->orphan_count > 0)
        px_reap(session);
    if (rc == SSH_ERROR || !ssh_is_connected(session->ssh) ||
        (ssh_get_status(session->ssh) & (SSH_CLOSED | SSH_CLOSED_ERROR)))
        session->dead = 1;
}

/* Acknowledge at once what has come and what comes next.  Until a server has a session to be quick for, it may hold an answer back as long
 * as what it said before is not acknowledged (RFC 896), and the kernel puts that off for 40 ms (RFC 1122 section 4.2.3.2). */
static inline void px_acknowledge(ssh_session ssh)
{
#ifdef TCP_QUICKACK
    int on = 1;

    (void)setsockopt(ssh_get_fd(ssh), IPPROTO_TCP, TCP_QUICKACK, &on, sizeof(on)); /* what is no TCP has no such wait */
#else
    (void)ssh;
#endif
}

/* Whether output waits for the socket to take it. */
static inline int px_pending(ssh_session ssh) { return (ssh_get_status(ssh) & SSH_WRITE_PENDING) != 0; }

/* The one wait: until something happened on the connection (PX_OK), or `milliseconds` passed or a signal came (SSH_AGAIN).  The
 * lock is held before and after, not meanwhile. */
static int px_turn(px_session *session, int milliseconds)
{
    int rc = PX_OK;

    /* libssh also gives up on a packet that it does not expect, and tells nobody but those who ask. */
    if (ssh_get_fd(session->ssh) < 0 || (ssh_get_status(session->ssh) & SSH_CLOSED_ERROR))
        session->dead = 1;
    if (session->dead)
        return PX_DEAD;
    px_share(session);
    if (session->polling) {
        struct timespec until;
#ifdef __APPLE__
        clock_gettime(CLOCK_REALTIME, &until);
#else
        clock_gettime(CLOCK_MONOTONIC, &until);
#endif
        until.tv_nsec += (long)(milliseconds % 1000) * 1000000L;
        until.tv_sec += milliseconds / 1000 + until.tv_nsec / 1000000000L;
        until.tv_nsec %= 1000000000L;
        if (px_pending(session->ssh))
            px_wake(session);
        session->waiting++;
        if (pthread_cond_timedwait(&session->changed, &session->lock, &until) != 0)
            rc = SSH_AGAIN;
        session->waiting--;
    } else {
        struct pollfd polled[2] = {{session->fd, POLLIN, 0}, {session->wake[0], POLLIN, 0}};
        char drained[64];

        if (px_pending(session->ssh))
            polled[0].events |= POLLOUT;
        session->polling = 1;
        pthread_mutex_unlock(&session->lock);
        if (poll(polled, 2, milliseconds) <= 0) {
            polled[0].revents = polled[1].revents = 0;
            rc = SSH_AGAIN;
        }
        pthread_mutex_lock(&session->lock);
        session->polling = 0;
        px_log_to(session);
        if (polled[1].revents)
            while (read(session->wake[0], drained, sizeof(drained)) > 0)
                ;
        if (polled[0].revents && session->ssh != NULL) {
            uint64_t before = session->traffic.in_bytes;

            px_pump(session);
            if ((polled[0].revents & (POLLHUP | POLLERR | POLLNVAL)) && session->traffic.in_bytes == before)
                session->dead = 1; /* the peer hung up and libssh does not look: never poll that again and again */
        }
        if (session->waiting > 0 || session->ssh == NULL)
            pthread_cond_broadcast(&session->changed);
    }
    return session->ssh == NULL ? PX_CLOSED : rc;
}

/* Whether this machine can do GSSAPI, as far as that is known: the shim that our own libssh is built with looks for the library. */
extern int pylibssh_gss_loaded(void) __attribute__((weak));

static inline int px_has_gssapi(void) { return pylibssh_gss_loaded == NULL || pylibssh_gss_loaded(); }

/* Host certificates: our own build of libssh asks for them, and what it does not export is there to be linked to.  Others have neither. */
typedef struct ssh_signature_struct *px_signature;
extern int pylibssh_host_certificates(void) __attribute__((weak));
extern int ssh_pki_import_signature_blob(const ssh_string blob, const ssh_key key, px_signature *signature) __attribute__((weak));
extern int ssh_pki_signature_verify(ssh_session session, px_signature signature, const ssh_key key, const unsigned char *data,
                                    size_t length) __attribute__((weak));
extern void ssh_signature_free(px_signature signature) __attribute__((weak));
extern int ssh_dh_get_current_server_publickey_blob(ssh_session session, ssh_string *blob) __attribute__((weak));

static inline int px_has_host_certificates(void)
{
    return pylibssh_host_certificates != NULL && ssh_pki_import_signature_blob != NULL && ssh_pki_signature_verify != NULL &&
           ssh_signature_free != NULL && ssh_dh_get_current_server_publickey_blob != NULL;
}

/* The certificate that the server shows, or its key: ssh_get_server_publickey() can't give a certificate.  NULL where libssh
 * can't either, or there is none yet.  The lock is held. */
static ssh_string px_server_blob(px_session *session)
{
    ssh_string blob = NULL;

    if (px_has_host_certificates())
        ssh_dh_get_current_server_publickey_blob(session->ssh, &blob);
    return blob;
}

/* Whether `signature` (RFC 4253 section 6.6) is one of `data` by `key`.  The lock is held. */
static int px_verify(px_session *session, const ssh_key key, const void *signature, size_t size, const unsigned char *data,
                     size_t length)
{
    px_signature made = NULL;
    ssh_string blob;
    int rc = SSH_ERROR;

    if (!px_has_host_certificates() || (blob = ssh_string_new(size)) == NULL)
        return 0;
    if (ssh_string_fill(blob, signature, size) == 0 && ssh_pki_import_signature_blob(blob, key, &made) == SSH_OK)
        rc = ssh_pki_signature_verify(session->ssh, made, key, data, length);
    ssh_signature_free(made);
    ssh_string_free(blob);
    return rc == SSH_OK;
}

/* The socket, or -1: libssh itself closes it when a write fails, and the number may be another file's by now. */
static inline int px_descriptor(const px_session *session) { return ssh_get_fd(session->ssh) >= 0 ? session->fd : -1; }

/* How many bytes have come in. */
static inline uint64_t px_received(const px_session *session) { return session->traffic.in_bytes; }

/* Ask a peer that has been silent for a sign of life, and give it up after `alive_max` times (ssh_config's ServerAliveInterval
 * and ServerAliveCountMax).  The lock is held. */
static int px_probe(px_session *session)
{
    if (session->alive_interval == 0 || px_now() - session->heard < session->alive_interval * (session->probes + 1))
        return PX_OK;
    if (session->probes >= session->alive_max) {
        session->dead = session->silent = 1;
        return PX_DEAD;
    }
    session->probes++;
    ssh_send_keepalive(session->ssh); /* takes note of the last one's answer, if one is outstanding, and does not send then */
    ssh_send_keepalive(session->ssh);
    return PX_OK;
}

/* The server opens a channel to our agent. */
static ssh_channel px_on_agent(ssh_session ssh, void *userdata)
{
    px_session *session = userdata;
    ssh_channel channel = session->offered_count < PX_OFFERED_MOST ? ssh_channel_new(ssh) : NULL;

    if (channel != NULL)
        session->offered[session->offered_count++] = channel;
    return channel; /* NULL refuses it */
}

/* Let the server open channels to our agent.  The lock is held. */
static int px_accept_agent(px_session *session)
{
    if (session->callbacks.userdata != NULL)
        return SSH_OK;
    session->callbacks.userdata = session;
    session->callbacks.channel_open_request_auth_agent_function = px_on_agent;
    ssh_callbacks_init(&session->callbacks);
    return ssh_set_callbacks(session->ssh, &session->callbacks);
}

/* Disconnect and free everything of libssh.  Waits for the thread that polls, which is woken. */
static int px_close(px_session *session)
{
    ssh_session ssh;
    int ours, rc = px_enter(session);

    if (rc != PX_OK)
        return rc;
    ssh = session->ssh;
    session->ssh = NULL; /* from here on nobody else comes in */
    while (session->polling) {
        px_wake(session);
        pthread_cond_wait(&session->changed, &session->lock);
    }
    if (session->event != NULL) {
        ssh_event_remove_session(session->event, ssh);
        ssh_event_free(session->event);
        session->event = NULL;
    }
    ours = ssh_get_fd(ssh) >= 0; /* after a failed write libssh has closed the descriptor itself */
    ssh_disconnect(ssh);         /* also makes libssh forget the descriptor, which ssh_free would close */
    ssh_free(ssh);
    free(session->orphans);
    session->orphans = NULL;
    session->orphan_count = 0;
    session->offered_count = 0;
    if (ours && session->fd >= 0)
        close(session->fd);
    session->fd = -1;
    px_log_to(NULL); /* this thread's next call may be for another session */
    pthread_cond_broadcast(&session->changed);
    px_leave(session);
    return PX_OK;
}

static px_session *px_ref(px_session *session)
{
    __atomic_add_fetch(&session->references, 1, __ATOMIC_RELAXED);
    return session;
}

static void px_unref(px_session *session)
{
    if (session == NULL || __atomic_sub_fetch(&session->references, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    if (session->creator == getpid()) {
        px_close(session);
        pthread_cond_destroy(&session->changed);
        pthread_mutex_destroy(&session->lock);
    } else if (session->fd >= 0) {
        close(session->fd);
    }
    for (int i = 0; i < 2; i++)
        if (session->wake[i] >= 0)
            close(session->wake[i]);
    px_clear(&session->log);
    free(session);
}

/* ---- channels ---- */

typedef struct {
    px_session *session;
    ssh_channel ssh;
    struct ssh_channel_callbacks_struct callbacks;
    px_bytes stream[2];      /* stdout, stderr */
    int held[2];             /* libssh keeps data that we had no room for */
    size_t high_water;
    size_t enough;           /* a reader that comes at once for so much finds it in the processor's cache still; 0: it doesn't */
    int eof, closed, no_memory;
    int requesting;          /* a request waits for its answer: RFC 4254 section 5.4 has no ids, so one at a time */
    int has_status;
    int status;
    char signal[32];
} px_channel;

static int px_on_data(ssh_session ssh, ssh_channel channel, void *data, uint32_t length, int is_stderr, void *userdata)
{
    px_channel *self = userdata;
    px_bytes *stream = &self->stream[is_stderr != 0];

    (void)ssh;
    (void)channel;
    if (px_length(stream) >= self->high_water) {
        self->held[is_stderr != 0] = 1;
        return 0;
    }
    if (px_append(stream, data, length) != PX_OK) {
        self->no_memory = 1;
        return 0;
    }
    self->held[is_stderr != 0] = 0;
    if (self->enough > 0 && px_length(stream) >= self->enough)
        self->session->enough = 1;
    return (int)length;
}

/* Fetch what libssh held back while our buffer was full, and so let it open the window again.  The lock is held. */
static void px_refill(px_channel *self, int is_stderr)
{
    px_bytes *stream = &self->stream[is_stderr];

    char piece[16384]; /* not the buffer itself: libssh may call px_on_data meanwhile, which moves it */

    while (self->held[is_stderr] && px_length(stream) < self->high_water) {
        int got = ssh_channel_read_timeout(self->ssh, piece, sizeof(piece), is_stderr, 0);

        if (got > 0 && px_append(stream, piece, (size_t)got) != PX_OK) {
            self->no_memory = 1;
            return;
        }
        if (got < (int)sizeof(piece))
            self->held[is_stderr] = 0;
    }
}

/* Fetch it all, however full our buffer is: the window bounds it, and libssh gives nothing any more once the connection is lost. */
static void px_refill_all(px_channel *self)
{
    size_t high_water = self->high_water;

    self->high_water = SIZE_MAX;
    px_refill(self, 0);
    px_refill(self, 1);
    self->high_water = high_water;
}

static void px_on_eof(ssh_session ssh, ssh_channel channel, void *userdata)
{
    (void)ssh;
    (void)channel;
    px_refill_all(userdata);
    ((px_channel *)userdata)->eof = 1;
}

static void px_on_close(ssh_session ssh, ssh_channel channel, void *userdata)
{
    px_on_eof(ssh, channel, userdata);
    ((px_channel *)userdata)->closed = 1;
}

static void px_on_status(ssh_session ssh, ssh_channel channel, int status, void *userdata)
{
    (void)ssh;
    (void)channel;
    ((px_channel *)userdata)->has_status = 1;
    ((px_channel *)userdata)->status = status;
}

static void px_on_signal(ssh_session ssh, ssh_channel channel, const char *signal, int core, const char *text,
                         const char *language, void *userdata)
{
    px_channel *self = userdata;

    (void)ssh;
    (void)channel;
    (void)core;
    (void)text;
    (void)language;
    self->has_status = 1;
    self->status = -1;
    px_say(self->signal, sizeof(self->signal), signal ? signal : "");
}

static px_channel *px_channel_new(px_session *session)
{
    px_channel *self = calloc(1, sizeof(*self));

    if (self == NULL)
        return NULL;
    self->session = px_ref(session);
    self->high_water = PX_HIGH_WATER;
    self->status = -1;
    self->callbacks.userdata = self;
    self->callbacks.channel_data_function = px_on_data;
    self->callbacks.channel_eof_function = px_on_eof;
    self->callbacks.channel_close_function = px_on_close;
    self->callbacks.channel_exit_status_function = px_on_status;
    self->callbacks.channel_exit_signal_function = px_on_signal;
    ssh_callbacks_init(&self->callbacks);
    return self;
}

/* The libssh channel, made at first use; NULL when memory is short.  The lock is held. */
static ssh_channel px_channel_start(px_channel *self)
{
    if (self->ssh != NULL)
        return self->ssh;
    self->ssh = ssh_channel_new(self->session->ssh);
    if (self->ssh != NULL && ssh_set_channel_callbacks(self->ssh, &self->callbacks) != SSH_OK) {
        ssh_channel_free(self->ssh);
        self->ssh = NULL;
    }
    return self->ssh;
}

/* Take over a channel that the server has opened.  What came before now is with libssh.  The lock is held. */
static int px_channel_adopt(px_channel *self)
{
    px_session *session = self->session;
    ssh_channel ssh = session->offered[0];

    memmove(session->offered, session->offered + 1, --session->offered_count * sizeof(ssh));
    if (ssh_set_channel_callbacks(ssh, &self->callbacks) != SSH_OK) {
        ssh_channel_free(ssh);
        return SSH_ERROR;
    }
    self->ssh = ssh;
    self->held[0] = 1;
    px_refill_all(self); /* libssh tells neither end while it has data */
    self->closed = ssh_channel_is_closed(ssh);
    self->eof = self->closed || ssh_channel_is_eof(ssh);
    return SSH_OK;
}

/* Let go of the libssh channel.  The lock is held. */
static void px_channel_drop(px_channel *self)
{
    ssh_channel ssh = self->ssh;

    self->ssh = NULL;
    if (ssh == NULL || self->session->ssh == NULL)
        return; /* libssh freed it with the session */
    ssh_remove_channel_callbacks(ssh, &self->callbacks);
    if (self->requesting && !ssh_channel_is_open(ssh) && !self->closed && !self->session->dead)
        px_orphan(self->session, ssh);
    else
        ssh_channel_free(ssh);
    self->session->dropped = px_now();
    px_wake(self->session); /* a close message may wait to be sent */
}

static void px_channel_free(px_channel *self)
{
    if (self == NULL)
        return;
    if (px_lock(self->session) == PX_OK) {
        px_channel_drop(self);
        px_leave(self->session);
    }
    px_clear(&self->stream[0]);
    px_clear(&self->stream[1]);
    px_unref(self->session);
    free(self);
}

/* ---- waiting ---- */

/* One call into libssh, or one condition to wait for. */
typedef struct {
    ssh_session session;
    px_channel *channel;
    ssh_key key;
    const char *a, *b;
    size_t length, done;
    int x, y;
    int opening;                  /* the channel need not be open yet */
} px_call;

typedef int (*px_step)(px_call *call);

/* Repeat `step` until it is through or failed, but for `milliseconds` at the most: SSH_AGAIN then.  Text gets libssh's word on a failure,
 * lost whether the connection is gone. */
static int px_drive(px_session *session, px_step step, px_call *call, int milliseconds, char *text, size_t size, int *lost)
{
    int64_t end = px_now() + milliseconds;
    int rc = px_enter(session);

    if (rc != PX_OK)
        return rc;
    if (session->event == NULL) {
        px_leave(session);
        return PX_UNCONNECTED;
    }
    for (;;) {
        call->session = session->ssh;
        if (call->channel != NULL && call->channel->ssh == NULL && !call->opening) {
            rc = PX_DROPPED; /* closed by another thread */
            break;
        }
        rc = step(call);
        if (rc != SSH_AGAIN)
            break;
        rc = px_turn(session, milliseconds);
        if (rc == SSH_AGAIN && px_probe(session) != PX_OK)
            rc = PX_DEAD;
        if (rc != PX_OK)
            break;
        milliseconds = (int)(end - px_now());
        if (milliseconds <= 0) {
            rc = SSH_AGAIN;
            break;
        }
    }
    if (rc < 0 && rc != SSH_AGAIN && session->ssh != NULL) {
        *lost = session->dead || !ssh_is_connected(session->ssh);
        px_say(text, size, session->silent ? "the server does not answer keepalives any more" : ssh_get_error(session->ssh));
    }
    px_leave(session);
    return rc;
}

#endif
