# SPDX-License-Identifier: LGPL-2.1-or-later
"""libssh/libssh.h and the two functions of libssh/server.h that a client uses: declarations in the order of the headers."""

from libc.stdint cimport uint32_t

cdef extern from "compat.h" nogil:
    ctypedef struct ssh_channel_struct:
        pass
    ctypedef struct ssh_string_struct:
        pass
    ctypedef struct ssh_key_struct:
        pass
    ctypedef struct ssh_session_struct:
        pass
    ctypedef struct ssh_event_struct:
        pass
    ctypedef ssh_channel_struct *ssh_channel
    ctypedef ssh_string_struct *ssh_string
    ctypedef ssh_key_struct *ssh_key
    ctypedef ssh_session_struct *ssh_session
    ctypedef ssh_event_struct *ssh_event

    enum:
        SSH_AUTH_SUCCESS
        SSH_AUTH_DENIED
        SSH_AUTH_PARTIAL
        SSH_AUTH_INFO
        SSH_AUTH_AGAIN

    enum:
        SSH_AUTH_METHOD_PASSWORD
        SSH_AUTH_METHOD_PUBLICKEY
        SSH_AUTH_METHOD_HOSTBASED
        SSH_AUTH_METHOD_INTERACTIVE
        SSH_AUTH_METHOD_GSSAPI_MIC
        SSH_AUTH_METHOD_GSSAPI_KEYEX

    enum:
        SSH_OK
        SSH_ERROR
        SSH_AGAIN

    enum ssh_options_e:
        SSH_OPTIONS_HOST
        SSH_OPTIONS_PORT
        SSH_OPTIONS_FD
        SSH_OPTIONS_USER
        SSH_OPTIONS_SSH_DIR
        SSH_OPTIONS_IDENTITY
        SSH_OPTIONS_ADD_IDENTITY
        SSH_OPTIONS_KNOWNHOSTS
        SSH_OPTIONS_TIMEOUT
        SSH_OPTIONS_TIMEOUT_USEC
        SSH_OPTIONS_LOG_VERBOSITY
        SSH_OPTIONS_CIPHERS_C_S
        SSH_OPTIONS_CIPHERS_S_C
        SSH_OPTIONS_COMPRESSION_C_S
        SSH_OPTIONS_COMPRESSION_S_C
        SSH_OPTIONS_PROXYCOMMAND
        SSH_OPTIONS_BINDADDR
        SSH_OPTIONS_STRICTHOSTKEYCHECK
        SSH_OPTIONS_COMPRESSION
        SSH_OPTIONS_COMPRESSION_LEVEL
        SSH_OPTIONS_KEY_EXCHANGE
        SSH_OPTIONS_HOSTKEYS
        SSH_OPTIONS_GSSAPI_SERVER_IDENTITY
        SSH_OPTIONS_GSSAPI_CLIENT_IDENTITY
        SSH_OPTIONS_GSSAPI_DELEGATE_CREDENTIALS
        SSH_OPTIONS_HMAC_C_S
        SSH_OPTIONS_HMAC_S_C
        SSH_OPTIONS_GLOBAL_KNOWNHOSTS
        SSH_OPTIONS_NODELAY
        SSH_OPTIONS_PUBLICKEY_ACCEPTED_TYPES
        SSH_OPTIONS_PROCESS_CONFIG
        SSH_OPTIONS_REKEY_DATA
        SSH_OPTIONS_REKEY_TIME
        SSH_OPTIONS_RSA_MIN_SIZE
        SSH_OPTIONS_IDENTITY_AGENT
        SSH_OPTIONS_GSSAPI_KEY_EXCHANGE

    int ssh_channel_open_forward(ssh_channel channel, const char *remotehost, int remoteport, const char *sourcehost, int localport)
    int ssh_channel_open_session(ssh_channel channel)
    int ssh_channel_request_auth_agent(ssh_channel channel)
    int ssh_channel_request_env(ssh_channel channel, const char *name, const char *value)
    int ssh_channel_request_exec(ssh_channel channel, const char *cmd)
    int ssh_channel_request_pty_size(ssh_channel channel, const char *term, int cols, int rows)
    int ssh_channel_change_pty_size(ssh_channel channel, int cols, int rows)
    int ssh_channel_request_shell(ssh_channel channel)
    int ssh_channel_request_send_signal(ssh_channel channel, const char *signum)
    int ssh_channel_request_subsystem(ssh_channel channel, const char *subsystem)
    int ssh_channel_send_eof(ssh_channel channel)
    int ssh_channel_write(ssh_channel channel, const void *data, uint32_t len)
    int ssh_connect(ssh_session session)
    const char *ssh_get_error(void *error)
    char *ssh_get_issue_banner(ssh_session session)
    int SSH_WRITE_PENDING
    int ssh_get_server_publickey(ssh_session session, ssh_key *key)
    int ssh_init()
    int ssh_is_connected(ssh_session session)
    int ssh_options_set(ssh_session session, int type, const void *value)
    int ssh_options_get(ssh_session session, int type, char **value)
    int ssh_options_get_port(ssh_session session, unsigned int *port_target)
    void ssh_key_free(ssh_key key)
    ssh_key ssh_key_dup(const ssh_key key)
    int ssh_key_type_from_name(const char *name)
    int ssh_pki_import_privkey_base64(const char *b64_key, const char *passphrase, void *auth_fn, void *auth_data, ssh_key *pkey)
    int ssh_pki_copy_cert_to_privkey(const ssh_key cert_key, ssh_key privkey)
    int ssh_pki_import_pubkey_base64(const char *b64_key, int type, ssh_key *pkey)
    int ssh_pki_import_cert_base64(const char *b64_cert, int type, ssh_key *pkey)
    int ssh_pki_export_privkey_to_pubkey(const ssh_key privkey, ssh_key *pkey)
    int ssh_pki_export_pubkey_base64(const ssh_key key, char **b64_key)
    int SSH_FILE_FORMAT_OPENSSH
    int ssh_pki_export_privkey_base64_format(
        const ssh_key privkey, const char *passphrase, void *auth_fn, void *auth_data, char **b64_key, int format
    )
    int ssh_set_agent_socket(ssh_session session, int fd)
    int ssh_userauth_none(ssh_session session, const char *username)
    int ssh_userauth_list(ssh_session session, const char *username)
    int ssh_userauth_publickey(ssh_session session, const char *username, const ssh_key privkey)
    int ssh_userauth_agent(ssh_session session, const char *username)
    int ssh_userauth_password(ssh_session session, const char *username, const char *password)
    int ssh_userauth_kbdint(ssh_session session, const char *user, const char *submethods)
    const char *ssh_userauth_kbdint_getinstruction(ssh_session session)
    const char *ssh_userauth_kbdint_getname(ssh_session session)
    int ssh_userauth_kbdint_getnprompts(ssh_session session)
    const char *ssh_userauth_kbdint_getprompt(ssh_session session, unsigned int i, char *echo)
    int ssh_userauth_kbdint_setanswer(ssh_session session, unsigned int i, const char *answer)
    int ssh_userauth_gssapi(ssh_session session)
    int ssh_userauth_gssapi_keyex(ssh_session session)
    int ssh_session_kex_is_gss(ssh_session session)
    const char *ssh_version(int req_version)
    void *ssh_string_data(ssh_string str)
    size_t ssh_string_len(ssh_string str)
    void ssh_string_free(ssh_string str)
    void ssh_string_free_char(char *s)
    const char *ssh_get_clientbanner(ssh_session session)
    const char *ssh_get_serverbanner(ssh_session session)
    const char *ssh_get_kex_algo(ssh_session session)
    const char *ssh_get_cipher_in(ssh_session session)
    const char *ssh_get_cipher_out(ssh_session session)
    const char *ssh_get_hmac_in(ssh_session session)
    const char *ssh_get_hmac_out(ssh_session session)

cdef extern from "libssh/server.h" nogil:
    int ssh_send_keepalive(ssh_session session)
