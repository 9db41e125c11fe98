/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Keys in OpenSSH's format that are encrypted with a cipher that also makes a tag (ssh-keygen -Z): libssh has these ciphers, but for packets
 * only.  OpenSSL's are used, and libssh's bcrypt_pbkdf, which can be linked to where libssh is in this module. */
#ifndef PX_SEALED_H
#define PX_SEALED_H

enum { PX_TAG = 16, PX_SEALED_MOST = 1 << 20 };

#ifdef LIBSSH_STATIC
#include <string.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>

enum { PX_UNSEALS = 1, PX_GCM_IV = 12, PX_CHACHA_KEY = 64, PX_KEY_MOST = 64 };

int bcrypt_pbkdf(const char *passphrase, size_t passphrase_size, const uint8_t *salt, size_t salt_size, uint8_t *key, size_t key_size,
                 unsigned int rounds);

/* AES-GCM; the IV comes after the key. */
static int px_open_gcm(EVP_CIPHER_CTX *context, const EVP_CIPHER *cipher, const uint8_t *key, uint8_t *data, int size,
                       const uint8_t *tag)
{
    int done;

    return EVP_DecryptInit_ex(context, cipher, NULL, key, key + EVP_CIPHER_key_length(cipher)) == 1 &&
           EVP_DecryptUpdate(context, data, &done, data, size) == 1 &&
           EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, PX_TAG, (void *)tag) == 1 &&
           EVP_DecryptFinal_ex(context, data + size, &done) == 1;
}

/* OpenSSH's ChaCha20-Poly1305 (PROTOCOL.chacha20poly1305 in its sources) of packet 0 without a length: the tag's key is the first block of the
 * stream, the data starts with the second, and the key's second half, which is for lengths, has nothing to do. */
static int px_open_chacha(EVP_CIPHER_CTX *context, const uint8_t *key, uint8_t *data, int size, const uint8_t *tag)
{
    static const uint8_t start[16];
    uint8_t block[64] = {0}, made[PX_TAG];
    size_t made_size = sizeof(made);
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    EVP_PKEY *poly = NULL;
    int done;
    int ok = digest != NULL && EVP_DecryptInit_ex(context, EVP_chacha20(), NULL, key, start) == 1 &&
             EVP_DecryptUpdate(context, block, &done, block, sizeof(block)) == 1 &&
             (poly = EVP_PKEY_new_raw_private_key(EVP_PKEY_POLY1305, NULL, block, 32)) != NULL &&
             EVP_DigestSignInit(digest, NULL, NULL, NULL, poly) == 1 && EVP_DigestSign(digest, made, &made_size, data, size) == 1 &&
             CRYPTO_memcmp(made, tag, PX_TAG) == 0 && EVP_DecryptUpdate(context, data, &done, data, size) == 1;

    EVP_PKEY_free(poly);
    EVP_MD_CTX_free(digest);
    return ok;
}

/* Decrypt `data` in place with what bcrypt makes of a passphrase; whether its tag is right. */
static int px_unseal(const char *cipher, const char *passphrase, size_t passphrase_size, const uint8_t *salt, size_t salt_size,
                     uint32_t rounds, uint8_t *data, int size, const uint8_t *tag)
{
    const EVP_CIPHER *gcm = strcmp(cipher, "aes128-gcm@openssh.com") == 0   ? EVP_aes_128_gcm()
                            : strcmp(cipher, "aes256-gcm@openssh.com") == 0 ? EVP_aes_256_gcm()
                                                                            : NULL;
    size_t key_size = gcm != NULL ? (size_t)EVP_CIPHER_key_length(gcm) + PX_GCM_IV : PX_CHACHA_KEY;
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    uint8_t key[PX_KEY_MOST];
    int ok = context != NULL && bcrypt_pbkdf(passphrase, passphrase_size, salt, salt_size, key, key_size, rounds) == 0 &&
             (gcm != NULL ? px_open_gcm(context, gcm, key, data, size, tag) : px_open_chacha(context, key, data, size, tag));

    OPENSSL_cleanse(key, sizeof(key));
    EVP_CIPHER_CTX_free(context);
    return ok;
}
#else
enum { PX_UNSEALS = 0 };

static int px_unseal(const char *cipher, const char *passphrase, size_t passphrase_size, const uint8_t *salt, size_t salt_size,
                     uint32_t rounds, uint8_t *data, int size, const uint8_t *tag)
{
    (void)cipher, (void)passphrase, (void)passphrase_size, (void)salt, (void)salt_size, (void)rounds, (void)data, (void)size, (void)tag;
    return 0;
}
#endif

#endif
