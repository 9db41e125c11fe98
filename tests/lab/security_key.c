/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A security key in software, behind OpenSSH's interface for such (SSH_SK_PROVIDER): its key handles are the private keys.
 *
 * LAB_PIN in the environment is its PIN; a key with the flag "verify" signs only with it. */
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { ECDSA = 0, ED25519 = 1, VERIFY = 4, ERR_GENERAL = -1, ERR_PIN = -3, SECRET = 32 };

struct sk_option;

struct enrolled {
    uint8_t flags;
    uint8_t *public_key;
    size_t public_key_len;
    uint8_t *key_handle;
    size_t key_handle_len;
    uint8_t *signature;
    size_t signature_len;
    uint8_t *attestation_cert;
    size_t attestation_cert_len;
    uint8_t *authdata;
    size_t authdata_len;
};

struct signature {
    uint8_t flags;
    uint32_t counter;
    uint8_t *r;
    size_t r_len;
    uint8_t *s;
    size_t s_len;
};

uint32_t sk_api_version(void);
int sk_enroll(uint32_t alg, const uint8_t *challenge, size_t length, const char *application, uint8_t flags, const char *pin,
              struct sk_option **options, struct enrolled **made);
int sk_sign(uint32_t alg, const uint8_t *data, size_t length, const char *application, const uint8_t *handle, size_t handle_length,
            uint8_t flags, const char *pin, struct sk_option **options, struct signature **made);
int sk_load_resident_keys(const char *pin, struct sk_option **options, void ***keys, size_t *count);

static uint32_t counter;

static int refused(uint8_t flags, const char *pin)
{
    const char *right = getenv("LAB_PIN");

    return (flags & VERIFY) && (pin == NULL || right == NULL || strcmp(pin, right) != 0);
}

uint32_t sk_api_version(void) { return 0x000a0000; }

static uint8_t *copied(const uint8_t *data, size_t length)
{
    uint8_t *copy = malloc(length);

    return copy ? memcpy(copy, data, length) : NULL;
}

static EC_KEY *ec_key(const uint8_t *secret)
{
    EC_KEY *key = EC_KEY_new_by_curve_name(NID_X9_62_prime256v1);
    EC_POINT *point = EC_POINT_new(EC_KEY_get0_group(key));
    BIGNUM *number = BN_bin2bn(secret, SECRET, NULL);

    EC_KEY_set_private_key(key, number);
    EC_POINT_mul(EC_KEY_get0_group(key), point, number, NULL, NULL, NULL);
    EC_KEY_set_public_key(key, point);
    EC_POINT_free(point);
    BN_free(number);
    return key;
}

int sk_enroll(uint32_t alg, const uint8_t *challenge, size_t length, const char *application, uint8_t flags, const char *pin,
              struct sk_option **options, struct enrolled **made)
{
    struct enrolled *result = calloc(1, sizeof(*result));
    uint8_t secret[SECRET], public[65];

    (void)challenge, (void)length, (void)application, (void)options;
    if (refused(flags, pin))
        return ERR_PIN;
    if (alg == ED25519) {
        EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");

        result->public_key_len = sizeof(secret);
        EVP_PKEY_get_raw_private_key(key, secret, &result->public_key_len);
        EVP_PKEY_get_raw_public_key(key, public, &result->public_key_len);
        EVP_PKEY_free(key);
    } else {
        EC_KEY *key = EC_KEY_new_by_curve_name(NID_X9_62_prime256v1);

        EC_KEY_generate_key(key);
        BN_bn2binpad(EC_KEY_get0_private_key(key), secret, SECRET);
        result->public_key_len = EC_POINT_point2oct(EC_KEY_get0_group(key), EC_KEY_get0_public_key(key),
                                                    POINT_CONVERSION_UNCOMPRESSED, public, sizeof(public), NULL);
        EC_KEY_free(key);
    }
    result->flags = flags;
    result->public_key = copied(public, result->public_key_len);
    result->key_handle = copied(secret, SECRET);
    result->key_handle_len = SECRET;
    result->signature = copied(secret, 1); /* of an attestation that nobody asks for */
    result->signature_len = 1;
    *made = result;
    return 0;
}

int sk_sign(uint32_t alg, const uint8_t *data, size_t length, const char *application, const uint8_t *handle, size_t handle_length,
            uint8_t flags, const char *pin, struct sk_option **options, struct signature **made)
{
    struct signature *result = calloc(1, sizeof(*result));
    uint8_t message[2 * SHA256_DIGEST_LENGTH + 5], raw[64];
    size_t raw_length = sizeof(raw);

    (void)options;
    if (handle_length != SECRET)
        return ERR_GENERAL;
    if (refused(flags, pin))
        return ERR_PIN;
    result->flags = flags & (1 | VERIFY);
    result->counter = ++counter;
    SHA256((const uint8_t *)application, strlen(application), message);
    message[32] = result->flags;
    for (int i = 0; i < 4; i++)
        message[33 + i] = (uint8_t)(result->counter >> (24 - 8 * i));
    SHA256(data, length, message + 37);
    if (alg == ED25519) {
        EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, handle, SECRET);
        EVP_MD_CTX *context = EVP_MD_CTX_new();

        EVP_DigestSignInit(context, NULL, NULL, NULL, key);
        EVP_DigestSign(context, raw, &raw_length, message, sizeof(message));
        EVP_MD_CTX_free(context);
        EVP_PKEY_free(key);
        result->r = copied(raw, raw_length);
        result->r_len = raw_length;
    } else {
        uint8_t digest[SHA256_DIGEST_LENGTH];
        EC_KEY *key = ec_key(handle);
        ECDSA_SIG *signature;

        SHA256(message, sizeof(message), digest);
        signature = ECDSA_do_sign(digest, sizeof(digest), key);
        result->r_len = result->s_len = SECRET;
        BN_bn2binpad(ECDSA_SIG_get0_r(signature), raw, SECRET);
        BN_bn2binpad(ECDSA_SIG_get0_s(signature), raw + SECRET, SECRET);
        result->r = copied(raw, SECRET);
        result->s = copied(raw + SECRET, SECRET);
        ECDSA_SIG_free(signature);
        EC_KEY_free(key);
    }
    *made = result;
    return 0;
}

int sk_load_resident_keys(const char *pin, struct sk_option **options, void ***keys, size_t *count)
{
    (void)pin, (void)options, (void)keys, (void)count;
    return ERR_GENERAL;
}
