# SPDX-License-Identifier: LGPL-2.1-or-later
"""engine.h: the shared state of sessions and channels, their lock, wait and buffers."""

from libc.stdint cimport int64_t, uint64_t

from . cimport libssh

cdef extern from "engine.h" nogil:
    enum:
        PX_OK
        PX_CLOSED
        PX_FORKED
        PX_NOMEM
        PX_DEAD
        PX_DROPPED
        PX_UNCONNECTED
        PX_BUSY
        PX_ANONYMOUS

    ctypedef struct px_channel

    ctypedef struct px_bytes:
        char *data
        size_t start
        size_t end

    size_t px_length(const px_bytes *bytes)
    size_t px_glance(const px_bytes *bytes)
    void px_take(px_bytes *bytes, size_t length)
    void px_clear(px_bytes *bytes)
    int px_claim(int *flag)
    void px_unclaim(int *flag)
    void px_say(char *to, size_t size, const char *text)
    char *px_copy(const char *text)

    ctypedef struct px_session:
        libssh.ssh_session ssh
        libssh.ssh_event event
        int fd
        int dead
        int log_level
        int64_t alive_interval
        int alive_max
        int64_t dropped
        px_bytes log
        size_t offered_count

    int64_t px_now()
    px_session *px_new()
    void px_unref(px_session *session)
    int px_attach(px_session *session, int fd, char *text, size_t size, int *lost)
    void px_log_to(px_session *session)
    int px_lock(px_session *session)
    int px_enter(px_session *session)
    int px_try_enter(px_session *session)
    void px_leave(px_session *session)
    void px_pump(px_session *session)
    int px_pending(libssh.ssh_session ssh)
    void px_acknowledge(libssh.ssh_session ssh)
    int px_probe(px_session *session)
    int px_has_gssapi()
    int px_has_host_certificates()
    libssh.ssh_string px_server_blob(px_session *session)
    int px_verify(px_session *session, const libssh.ssh_key key, const void *signature, size_t size, const unsigned char *data,
                  size_t length)
    int px_descriptor(const px_session *session)
    uint64_t px_received(const px_session *session)
    int px_accept_agent(px_session *session)
    int px_close(px_session *session)

    ctypedef struct px_call:
        libssh.ssh_session session
        px_channel *channel
        libssh.ssh_key key
        const char *a
        const char *b
        size_t length
        size_t done
        int x
        int y
        int opening

    ctypedef int (*px_step)(px_call *call) noexcept nogil

    int px_drive(px_session *session, px_step step, px_call *call, int milliseconds, char *text, size_t size, int *lost)

    ctypedef struct px_channel "px_channel":
        px_session *session
        libssh.ssh_channel ssh
        px_bytes stream[2]
        int held[2]
        size_t high_water
        int eof
        int closed
        int no_memory
        int requesting
        int has_status
        int status
        char signal[32]

    px_channel *px_channel_new(px_session *session)
    libssh.ssh_channel px_channel_start(px_channel *channel)
    int px_channel_adopt(px_channel *channel)
    void px_channel_drop(px_channel *channel)
    void px_channel_free(px_channel *channel)
    void px_refill(px_channel *channel, int is_stderr)
