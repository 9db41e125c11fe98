# SPDX-License-Identifier: LGPL-2.1-or-later
"""sealed.h: keys that are encrypted with AES-GCM or ChaCha20-Poly1305."""

from libc.stdint cimport uint8_t, uint32_t

cdef extern from "sealed.h" nogil:
    enum:
        PX_UNSEALS
        PX_TAG
        PX_SEALED_MOST

    int px_unseal(const char *cipher, const char *passphrase, size_t passphrase_size, const uint8_t *salt, size_t salt_size,
                  uint32_t rounds, uint8_t *data, int size, const uint8_t *tag)
