# SPDX-License-Identifier: LGPL-2.1-or-later
"""sftp.h: the bulk data of SFTP, between a channel's buffer and descriptors."""

from libc.stdint cimport uint32_t, uint64_t

from . cimport engine

cdef extern from "sftp.h" nogil:
    ctypedef struct px_moved:
        uint32_t id
        uint32_t moved
        int error

    ctypedef struct px_sftp:
        engine.px_bytes arrived
        const char *lead
        px_moved moved[1]
        int moved_count
        int feeding
        int sending
        char *out

    px_sftp *px_sftp_new()
    void px_sftp_free(px_sftp *sftp)
    int px_sftp_expect(px_sftp *sftp, uint32_t id, int fd, uint64_t offset, uint32_t size)
    void px_sftp_forget(px_sftp *sftp, uint32_t id)
    int px_sftp_fetch(px_sftp *sftp, engine.px_channel *channel)
    int px_sftp_add(px_sftp *sftp, const void *data, size_t length)
    const char *px_sftp_sort(px_sftp *sftp, size_t *lead, size_t *length)
    ssize_t px_sftp_make_write(px_sftp *sftp, uint32_t id, const char *handle, uint32_t handle_size, int fd, uint64_t offset,
                               uint32_t *size)
