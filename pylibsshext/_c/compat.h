/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The differences between the libssh releases that this package builds against: 0.10, 0.11 and 0.12. */
#ifndef PX_COMPAT_H
#define PX_COMPAT_H

#include <libssh/libssh.h>
#include <libssh/libssh_version.h>

#if LIBSSH_VERSION_INT < SSH_VERSION_INT(0, 10, 0)
#error "libssh 0.10 or newer is needed"
#endif

#endif
