/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The differences between the libssh releases that this package builds against: 0.10, 0.11 and 0.12. */
#ifndef PX_COMPAT_H
#define PX_COMPAT_H

#include <libssh/libssh.h>
#include <libssh/libssh_version.h>

#if LIBSSH_VERSION_INT < SSH_VERSION_INT(0, 10, 0)
#error "libssh 0.10 or newer is needed"
#endif

#if LIBSSH_VERSION_INT < SSH_VERSION_INT(0, 12, 0)
#define SSH_OPTIONS_GSSAPI_KEY_EXCHANGE 9999 /* which is no option */
#define SSH_AUTH_METHOD_GSSAPI_KEYEX 0x0040u
#define SSH_FILE_FORMAT_OPENSSH 0
#define ssh_pki_export_privkey_base64_format(key, passphrase, ask, data, text, format) SSH_ERROR

static inline int ssh_userauth_gssapi_keyex(ssh_session session)
{
    (void)session;
    return SSH_AUTH_DENIED;
}

static inline int ssh_session_kex_is_gss(ssh_session session)
{
    (void)session;
    return 0;
}
#endif

#endif
