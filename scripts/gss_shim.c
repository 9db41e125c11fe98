/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* GSSAPI on demand.
 *
 * libssh calls the functions below when a login wants Kerberos.  Linked against krb5 itself, our one binary would need it on
 * every machine; linked against these, it looks for the library on the first call, and goes without where there is none.
 */
#include <dlfcn.h>
#include <gssapi/gssapi.h>
#include <pthread.h>

static const char *const LIBRARIES[] = {"libgssapi_krb5.so.2", "libgssapi.so.3", "libgssapi_krb5.dylib"};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static void *library;

static void load(void)
{
    for (size_t i = 0; i < sizeof LIBRARIES / sizeof *LIBRARIES && library == NULL; i++) {
        library = dlopen(LIBRARIES[i], RTLD_NOW | RTLD_LOCAL);
    }
}

static void *symbol(const char *name)
{
    pthread_once(&once, load);
    return library == NULL ? NULL : dlsym(library, name);
}

/* Whether this machine has a GSSAPI library. */
int pylibssh_gss_loaded(void);

int pylibssh_gss_loaded(void)
{
    pthread_once(&once, load);
    return library != NULL;
}

/* One function of RFC 2744: the library's, or "unavailable".  All of them name their first parameter `minor`. */
#define FORWARD(function, parameters, arguments)                        \
    OM_uint32 function parameters                                       \
    {                                                                   \
        __typeof__(&function) real = (__typeof__(real))symbol(#function); \
        if (real == NULL) {                                             \
            *minor = 0;                                                 \
            return GSS_S_UNAVAILABLE;                                   \
        }                                                               \
        return real arguments;                                          \
    }

FORWARD(gss_accept_sec_context,
        (OM_uint32 *minor, gss_ctx_id_t *context, gss_cred_id_t credential, gss_buffer_t token, gss_channel_bindings_t bindings,
         gss_name_t *source, gss_OID *mech, gss_buffer_t reply, OM_uint32 *flags, OM_uint32 *lifetime, gss_cred_id_t *delegated),
        (minor, context, credential, token, bindings, source, mech, reply, flags, lifetime, delegated))

FORWARD(gss_acquire_cred,
        (OM_uint32 *minor, gss_name_t name, OM_uint32 wanted, gss_OID_set mechs, gss_cred_usage_t usage,
         gss_cred_id_t *credential, gss_OID_set *actual, OM_uint32 *lifetime),
        (minor, name, wanted, mechs, usage, credential, actual, lifetime))

FORWARD(gss_add_oid_set_member, (OM_uint32 *minor, gss_OID member, gss_OID_set *set), (minor, member, set))

FORWARD(gss_create_empty_oid_set, (OM_uint32 *minor, gss_OID_set *set), (minor, set))

FORWARD(gss_delete_sec_context, (OM_uint32 *minor, gss_ctx_id_t *context, gss_buffer_t token), (minor, context, token))

FORWARD(gss_display_name, (OM_uint32 *minor, gss_name_t name, gss_buffer_t text, gss_OID *type), (minor, name, text, type))

FORWARD(gss_get_mic, (OM_uint32 *minor, gss_ctx_id_t context, gss_qop_t qop, gss_buffer_t message, gss_buffer_t token),
        (minor, context, qop, message, token))

FORWARD(gss_import_name, (OM_uint32 *minor, gss_buffer_t text, gss_OID type, gss_name_t *name), (minor, text, type, name))

FORWARD(gss_indicate_mechs, (OM_uint32 *minor, gss_OID_set *mechs), (minor, mechs))

FORWARD(gss_init_sec_context,
        (OM_uint32 *minor, gss_cred_id_t credential, gss_ctx_id_t *context, gss_name_t target, gss_OID mech, OM_uint32 flags,
         OM_uint32 wanted, gss_channel_bindings_t bindings, gss_buffer_t token, gss_OID *actual, gss_buffer_t reply,
         OM_uint32 *given, OM_uint32 *lifetime),
        (minor, credential, context, target, mech, flags, wanted, bindings, token, actual, reply, given, lifetime))

FORWARD(gss_inquire_cred,
        (OM_uint32 *minor, gss_cred_id_t credential, gss_name_t *name, OM_uint32 *lifetime, gss_cred_usage_t *usage,
         gss_OID_set *mechs),
        (minor, credential, name, lifetime, usage, mechs))

FORWARD(gss_inquire_cred_by_mech,
        (OM_uint32 *minor, gss_cred_id_t credential, gss_OID mech, gss_name_t *name, OM_uint32 *initiator, OM_uint32 *acceptor,
         gss_cred_usage_t *usage),
        (minor, credential, mech, name, initiator, acceptor, usage))

FORWARD(gss_release_cred, (OM_uint32 *minor, gss_cred_id_t *credential), (minor, credential))

FORWARD(gss_release_name, (OM_uint32 *minor, gss_name_t *name), (minor, name))

FORWARD(gss_release_oid, (OM_uint32 *minor, gss_OID *oid), (minor, oid))

FORWARD(gss_release_oid_set, (OM_uint32 *minor, gss_OID_set *set), (minor, set))

FORWARD(gss_test_oid_set_member, (OM_uint32 *minor, gss_OID member, gss_OID_set set, int *present), (minor, member, set, present))

FORWARD(gss_verify_mic, (OM_uint32 *minor, gss_ctx_id_t context, gss_buffer_t message, gss_buffer_t token, gss_qop_t *qop),
        (minor, context, message, token, qop))

/* The two that libssh calls to explain a failure also work without the library, and then say that it is missing. */

static char MISSING[] = "no GSSAPI library (libgssapi_krb5.so.2) on this machine";

OM_uint32 gss_display_status(OM_uint32 *minor, OM_uint32 status, int type, gss_OID mech, OM_uint32 *context, gss_buffer_t text)
{
    __typeof__(&gss_display_status) real = (__typeof__(real))symbol("gss_display_status");
    if (real != NULL) {
        return real(minor, status, type, mech, context, text);
    }
    *minor = 0;
    *context = 0;
    text->value = MISSING;
    text->length = sizeof MISSING - 1;
    return GSS_S_COMPLETE;
}

OM_uint32 gss_release_buffer(OM_uint32 *minor, gss_buffer_t buffer)
{
    __typeof__(&gss_release_buffer) real = (__typeof__(real))symbol("gss_release_buffer");
    if (real != NULL) {
        return real(minor, buffer);
    }
    *minor = 0;
    buffer->value = NULL;
    buffer->length = 0;
    return GSS_S_COMPLETE;
}

/* Names of name types (RFC 2744, appendix A). */
static gss_OID_desc user_name = {10, (void *)"\x2a\x86\x48\x86\xf7\x12\x01\x02\x01\x01"};
static gss_OID_desc hostbased_service = {10, (void *)"\x2a\x86\x48\x86\xf7\x12\x01\x02\x01\x04"};
gss_OID GSS_C_NT_USER_NAME = &user_name;
gss_OID GSS_C_NT_HOSTBASED_SERVICE = &hostbased_service;
