/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The bulk data of SFTP (draft-ietf-secsh-filexfer-02): what READs bring is written to a descriptor right out of the channel's buffer, and
 * WRITEs are made out of one; neither passes through Python.
 *
 * What the server sends is cut into packets here.  The DATA that answers an expected READ and the OK that answers an expected WRITE are
 * dealt with and leave a px_moved; everything else stays in the stream, which goes on to Python's decoder.  So does whatever looks wrong (a
 * length that can't be, more data than was asked for, an answer of the wrong kind): the decoder has the words for it, and nothing
 * here believes a length before it has been compared with what was asked for.
 *
 * Each expected READ has a descriptor of its own, so that one that is closed, and whose number another file gets, is never written to.
 *
 * Threads.  `lock` guards everything.  One thread at a time feeds; the others expect and forget meanwhile, and wait for it.  It is held
 * while a file is written, so after px_sftp_forget nothing more is written for that request. */
#ifndef PX_SFTP_H
#define PX_SFTP_H

#include "engine.h"

enum { PX_SFTP_WRITE = 6, PX_SFTP_STATUS = 101, PX_SFTP_DATA = 103 };
enum {
    PX_SFTP_SLOTS = 128,            /* requests that can be expected at a time; others are Python's */
    PX_SFTP_HEAD = 13,              /* length, type, request id, and the length of the data or the status code */
    PX_SFTP_LEAST = 5,              /* type and request id */
    PX_SFTP_MOST = 1 << 20,         /* no packet that was asked for is longer; the decoder has the same limit */
    PX_SFTP_PLAIN = 256 * 1024,     /* as much goes to Python at once: larger objects come from fresh pages each time */
    PX_SFTP_ENOUGH = 64 * 1024,     /* is taken from the channel at a time, while the processor's cache has it */
    PX_SFTP_WRITE_HEAD = 4 + 1 + 4 + 4 + 8 + 4 /* of a WRITE, without the handle */
};

typedef struct {
    int used, fd, error;
    uint32_t id, size, moved;
    uint64_t offset;
} px_expected;

typedef struct {
    uint32_t id, moved;
    int error;
} px_moved;

typedef struct {
    pthread_mutex_t lock;
    pid_t creator;
    px_bytes arrived;                    /* what has come and was not looked at yet; nobody but the thread that feeds touches it */
    unsigned char head[PX_SFTP_HEAD];    /* of a packet that has come in part */
    size_t have;
    char lead[PX_SFTP_HEAD];             /* a head that is Python's and began in what came before */
    size_t plain, payload, skip;         /* bytes of the packet that are Python's, the file's, nobody's */
    px_expected current;                 /* whose payload it is */
    px_expected slots[PX_SFTP_SLOTS];    /* by request id */
    px_moved moved[PX_SFTP_SLOTS + 1];   /* what the last look brought: no more than the slots, and the one that was under way */
    int moved_count;
    int feeding, sending;                /* whether a thread is at it */
    char *out;                           /* a WRITE in the making */
    size_t out_size;
} px_sftp;

static px_sftp *px_sftp_new(void)
{
    px_sftp *self = calloc(1, sizeof(*self));

    if (self == NULL)
        return NULL;
    pthread_mutex_init(&self->lock, NULL);
    self->creator = getpid();
    self->current.fd = -1;
    for (int i = 0; i < PX_SFTP_SLOTS; i++)
        self->slots[i].fd = -1;
    return self;
}

static void px_expected_close(px_expected *expected)
{
    if (expected->fd >= 0)
        close(expected->fd);
    expected->fd = -1;
    expected->used = 0;
}

static void px_sftp_free(px_sftp *self)
{
    if (self == NULL)
        return;
    px_expected_close(&self->current);
    for (int i = 0; i < PX_SFTP_SLOTS; i++)
        px_expected_close(&self->slots[i]);
    if (self->creator == getpid()) /* in a fork another thread may have held it for ever */
        pthread_mutex_destroy(&self->lock);
    px_clear(&self->arrived);
    free(self->out);
    free(self);
}

static uint32_t px_u32(const unsigned char *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static char *px_put_u32(char *at, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        at[i] = (char)(value >> (24 - 8 * i));
    return at + 4;
}

/* Deal with the reply to request `id`: of a READ of `size` bytes at `offset` into `fd`, or, with fd -1, of a WRITE.  0 where there is no
 * room for it, and the reply will be Python's. */
static int px_sftp_expect(px_sftp *self, uint32_t id, int fd, uint64_t offset, uint32_t size)
{
    px_expected *slot = &self->slots[id % PX_SFTP_SLOTS];
    int own = -1, expected = 0;

    if (self->creator != getpid() || (fd >= 0 && (own = fcntl(fd, F_DUPFD_CLOEXEC, 3)) < 0))
        return 0;
    pthread_mutex_lock(&self->lock);
    if (!slot->used) {
        *slot = (px_expected){.used = 1, .fd = own, .id = id, .size = size, .offset = offset};
        expected = 1;
    }
    pthread_mutex_unlock(&self->lock);
    if (!expected && own >= 0)
        close(own);
    return expected;
}

/* Leave the reply to Python, or, if a part of it has been written, drop the rest. */
static void px_sftp_forget(px_sftp *self, uint32_t id)
{
    px_expected *slot = &self->slots[id % PX_SFTP_SLOTS];

    if (self->creator != getpid())
        return;
    pthread_mutex_lock(&self->lock);
    if (slot->used && slot->id == id)
        px_expected_close(slot);
    if (self->payload > 0 && self->current.id == id)
        px_expected_close(&self->current);
    pthread_mutex_unlock(&self->lock);
}

static void px_sftp_store(px_expected *to, const char *data, size_t length)
{
    while (length > 0 && to->fd >= 0 && to->error == 0) {
        ssize_t done = pwrite(to->fd, data, length, (off_t)(to->offset + to->moved));

        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0) {
            to->error = done < 0 ? errno : EIO;
            return;
        }
        to->moved += (uint32_t)done;
        data += done;
        length -= (size_t)done;
    }
}

static void px_sftp_finish(px_sftp *self)
{
    self->moved[self->moved_count++] = (px_moved){self->current.id, self->current.moved, self->current.error};
    px_expected_close(&self->current);
}

/* How many bytes of a packet's head it takes to see what it is; `have` of them are there. */
static size_t px_sftp_needed(const px_sftp *self)
{
    uint32_t length;

    if (self->have < 4)
        return 4;
    length = px_u32(self->head);
    if (length < PX_SFTP_LEAST || length > PX_SFTP_MOST)
        return 4;
    return length + 4 < PX_SFTP_HEAD ? length + 4 : PX_SFTP_HEAD;
}

/* The head of a packet is there: see whose it is.  Returns whether it is Python's. */
static int px_sftp_begin(px_sftp *self)
{
    uint32_t length = px_u32(self->head), id, word;
    px_expected *slot;
    int type = self->head[4], ours = 0;

    if (self->have == 4) { /* an impossible length: the decoder says so, and nothing that follows makes sense */
        self->plain = SIZE_MAX;
        return 1;
    }
    id = px_u32(self->head + 5);
    slot = &self->slots[id % PX_SFTP_SLOTS];
    if (slot->used && slot->id == id) {
        word = px_u32(self->head + 9);
        if (self->have == PX_SFTP_HEAD && slot->fd >= 0)
            ours = type == PX_SFTP_DATA && word > 0 && word <= slot->size && word <= length - 9;
        else if (self->have == PX_SFTP_HEAD)
            ours = type == PX_SFTP_STATUS && word == 0;
        if (ours) {
            self->current = *slot;
            slot->fd = -1;
            self->payload = type == PX_SFTP_DATA ? word : 0;
            self->skip = length - 9 - self->payload;
            if (self->payload == 0)
                px_sftp_finish(self);
        }
        px_expected_close(slot); /* answered, one way or the other */
    }
    if (!ours)
        self->plain = length + 4 - self->have;
    return !ours;
}

/* Take in what has come another way. */
static int px_sftp_add(px_sftp *self, const void *data, size_t length)
{
    return self->creator != getpid() ? PX_FORKED : px_append(&self->arrived, data, length);
}

/* Exchange what has come on a channel's stdout for the empty buffer here.  Returns PX_FORKED in a fork. */
static int px_sftp_fetch(px_sftp *self, px_channel *channel)
{
    px_bytes empty = self->arrived;

    if (px_length(&self->arrived) > 0)
        return PX_OK;
    if (px_lock(channel->session) != PX_OK)
        return PX_FORKED;
    channel->enough = PX_SFTP_ENOUGH;
    if (px_length(&channel->stream[0]) == 0 && channel->held[0] && channel->ssh != NULL && channel->session->ssh != NULL)
        px_refill(channel, 0);
    if (px_length(&channel->stream[0]) > 0) {
        empty.start = empty.end = 0;
        self->arrived = channel->stream[0];
        channel->stream[0] = empty;
    }
    px_leave(channel->session);
    return PX_OK;
}

/* Deal with what has come.  Returns what is Python's, *length bytes, and *lead bytes in self->lead that
 * go before them. */
static const char *px_sftp_sort(px_sftp *self, size_t *lead, size_t *length)
{
    char *start = self->arrived.data + self->arrived.start, *from = start, *to = start, *end = self->arrived.data + self->arrived.end;

    pthread_mutex_lock(&self->lock);
    *lead = 0;
    self->moved_count = 0;
    while (from < end && to - start < PX_SFTP_PLAIN) {
        size_t here = (size_t)(end - from), count;

        if (self->plain > 0) {
            count = self->plain < here ? self->plain : here;
            if (count > PX_SFTP_PLAIN - (size_t)(to - start))
                count = PX_SFTP_PLAIN - (size_t)(to - start);
            if (to != from)
                memmove(to, from, count);
            to += count;
            if (self->plain != SIZE_MAX)
                self->plain -= count;
        } else if (self->payload > 0) {
            count = self->payload < here ? self->payload : here;
            px_sftp_store(&self->current, from, count);
            self->payload -= count;
            if (self->payload == 0)
                px_sftp_finish(self);
        } else if (self->skip > 0) {
            count = self->skip < here ? self->skip : here;
            self->skip -= count;
        } else {
            count = px_sftp_needed(self) - self->have;
            if (count > here)
                count = here;
            memcpy(self->head + self->have, from, count);
            self->have += count;
            if (self->have == px_sftp_needed(self)) {
                if (px_sftp_begin(self)) {
                    if (to + self->have <= from + count) {
                        memcpy(to, self->head, self->have);
                        to += self->have;
                    } else { /* it began in what came earlier, so it is the first here */
                        memcpy(self->lead, self->head, self->have);
                        *lead = self->have;
                    }
                }
                self->have = 0;
            }
        }
        from += count;
    }
    self->arrived.start = (size_t)(from - self->arrived.data);
    pthread_mutex_unlock(&self->lock);
    *length = (size_t)(to - start);
    return start;
}

/* Make a WRITE of up to `size` bytes out of `fd`; returns its length, 0 at the end of the file, -1 with errno set.  *size becomes how many
 * bytes of data it has. */
static ssize_t px_sftp_make_write(px_sftp *self, uint32_t id, const char *handle, uint32_t handle_size, int fd, uint64_t offset,
                                  uint32_t *size)
{
    size_t head = PX_SFTP_WRITE_HEAD + (size_t)handle_size, done = 0;
    char *at;

    if (self->out_size < head + *size) {
        free(self->out);
        self->out = malloc(head + *size);
        self->out_size = self->out != NULL ? head + *size : 0;
        if (self->out == NULL)
            return -1;
    }
    while (done < *size) {
        ssize_t got = pread(fd, self->out + head + done, *size - done, (off_t)(offset + done));

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        done += (size_t)got;
    }
    *size = (uint32_t)done;
    if (done == 0)
        return 0;
    at = px_put_u32(self->out, (uint32_t)(head - 4 + done));
    *at++ = PX_SFTP_WRITE;
    at = px_put_u32(px_put_u32(at, id), handle_size);
    memcpy(at, handle, handle_size);
    at = px_put_u32(px_put_u32(at + handle_size, (uint32_t)(offset >> 32)), (uint32_t)offset);
    px_put_u32(at, (uint32_t)done);
    return (ssize_t)(head + done);
}

#endif
