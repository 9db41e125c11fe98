# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The connection plugin ansible.netcommon.libssh: options in, bytes out."""

from __future__ import annotations

DOCUMENTATION = """
name: libssh
author: Ansible Networking Team (@ansible-network)
short_description: Run tasks over SSH, in the process, by libssh
description:
  - Runs commands and moves files over SSH with libssh, inside Ansible's own process. No C(ssh) program is needed.
  - The library comes with this collection; nothing else has to be installed.
  - Knows C(become), pipelining, and what C(ssh) knows of keys, agents and known hosts.
version_added: 1.1.0
notes:
  - Host keys are checked. A host that is not known is asked about; a host whose key has changed is refused, also
    with O(host_key_auto_add), until the old key is taken out of the known hosts file.
  - A command that a signal ended has the return code 128 + the signal's number, as in a shell.
seealso:
  - plugin: ansible.builtin.ssh
    plugin_type: connection
options:
  remote_addr:
    description: Name or address of the host to connect to.
    type: string
    default: inventory_hostname
    vars:
      - name: inventory_hostname
      - name: ansible_host
      - name: ansible_ssh_host
      - name: ansible_paramiko_host
      - name: ansible_libssh_host
  port:
    description: Port to connect to. Not set, it is what O(config_file) says, else 22.
    type: int
    version_added: 9.0.0
    ini:
      - {section: defaults, key: remote_port}
      - {section: paramiko_connection, key: remote_port}
      - {section: libssh_connection, key: remote_port}
    env:
      - name: ANSIBLE_REMOTE_PORT
      - name: ANSIBLE_REMOTE_PARAMIKO_PORT
      - name: ANSIBLE_LIBSSH_REMOTE_PORT
    vars:
      - name: ansible_port
      - name: ansible_ssh_port
      - name: ansible_paramiko_port
      - name: ansible_libssh_port
    keyword:
      - name: port
  remote_user:
    description: User to log in as. Not set, it is what O(config_file) says, else the user who runs Ansible.
    type: string
    ini:
      - {section: defaults, key: remote_user}
      - {section: paramiko_connection, key: remote_user}
      - {section: libssh_connection, key: remote_user}
    env:
      - name: ANSIBLE_REMOTE_USER
      - name: ANSIBLE_PARAMIKO_REMOTE_USER
      - name: ANSIBLE_LIBSSH_REMOTE_USER
    vars:
      - name: ansible_user
      - name: ansible_ssh_user
      - name: ansible_paramiko_user
      - name: ansible_libssh_user
    cli:
      - name: user
    keyword:
      - name: remote_user
  password:
    description: Password of O(remote_user), for the login methods C(password) and C(keyboard-interactive).
    type: string
    vars:
      - name: ansible_password
      - name: ansible_ssh_pass
      - name: ansible_ssh_password
      - name: ansible_paramiko_pass
      - name: ansible_paramiko_password
      - name: ansible_libssh_pass
      - name: ansible_libssh_password
  password_prompt:
    description:
      - The end of the question that O(password) answers in a C(keyboard-interactive) login, where it isn't one of the usual ones.
    type: string
    vars:
      - name: ansible_libssh_password_prompt
  keyboard_interactive_answers:
    description:
      - Answers for a C(keyboard-interactive) login, such as one-time codes. Each key is a regular expression, searched for in the
        question; the first that is found counts, and goes before O(password).
      - 'A value is the answer, or V({"totp": SECRET}), with the base32 secret of an authenticator, for the code of the moment.'
      - A question that nothing answers is asked on the terminal; without a terminal the login fails, and the error names the question.
    type: dict
    version_added: 9.0.0
    vars:
      - name: ansible_libssh_keyboard_interactive_answers
  private_key:
    description:
      - The private key to log in with, as text, in OpenSSH's, PEM's or PKCS#8's format. It is tried before all others, and never
        written to a file.
    type: string
    version_added: 9.0.0
    vars:
      - name: ansible_private_key
      - name: ansible_ssh_private_key
      - name: ansible_libssh_private_key
  private_key_file:
    description:
      - File with the private key to log in with. It is tried before all others. A certificate beside it, C(<file>-cert.pub), is found.
      - A C(.pub) file, or a locked key whose C(.pub) lies beside it, means that key of the SSH agent's, and no other key of the agent's is
        tried before it.
    type: string
    version_added: 9.0.0
    ini:
      - {section: defaults, key: private_key_file}
      - {section: paramiko_connection, key: private_key_file}
      - {section: libssh_connection, key: private_key_file}
    env:
      - name: ANSIBLE_PRIVATE_KEY_FILE
      - name: ANSIBLE_PARAMIKO_PRIVATE_KEY_FILE
      - name: ANSIBLE_LIBSSH_PRIVATE_KEY_FILE
    vars:
      - name: ansible_private_key_file
      - name: ansible_ssh_private_key_file
      - name: ansible_paramiko_private_key_file
      - name: ansible_libssh_private_key_file
    cli:
      - name: private_key_file
        option: "--private-key"
  private_key_passphrase:
    description:
      - Passphrase of the private key. Not set, it is asked for on the terminal where the key needs one.
    type: string
    vars:
      - name: ansible_private_key_password
      - name: ansible_private_key_passphrase
      - name: ansible_ssh_private_key_passphrase
      - name: ansible_libssh_private_key_passphrase
  identities:
    description: More files with private keys, tried after O(private_key_file).
    type: list
    elements: str
    version_added: 9.0.0
    ini:
      - {section: libssh_connection, key: identities}
    env:
      - name: ANSIBLE_LIBSSH_IDENTITIES
    vars:
      - name: ansible_libssh_identities
  identities_only:
    description:
      - Whether to try none of the SSH agent's keys but those that O(private_key_file) and O(identities) name.
      - For an agent with many keys; servers hang up after a few wrong ones (C(MaxAuthTries)).
    type: boolean
    version_added: 9.0.0
    ini:
      - {section: libssh_connection, key: identities_only}
    env:
      - name: ANSIBLE_LIBSSH_IDENTITIES_ONLY
    vars:
      - name: ansible_libssh_identities_only
  certificate:
    description: The OpenSSH certificate for O(private_key), as text, one line as in a C(-cert.pub) file.
    type: string
    version_added: 9.0.0
    ini:
      - {section: libssh_connection, key: certificate}
    env:
      - name: ANSIBLE_LIBSSH_CERTIFICATE
    vars:
      - name: ansible_libssh_certificate
  certificate_file:
    description: Files with OpenSSH certificates for the keys of O(private_key_file), O(identities) or the SSH agent.
    type: list
    elements: str
    version_added: 9.0.0
    ini:
      - {section: libssh_connection, key: certificate_file}
    env:
      - name: ANSIBLE_LIBSSH_CERTIFICATE_FILE
    vars:
      - name: ansible_libssh_certificate_file
  agent:
    description:
      - Whether to use the SSH agent. With V(false) it is not even asked for the keys that O(private_key_file) and O(identities) name.
      - Not set, its other keys are tried if O(look_for_keys) is on.
    type: boolean
    version_added: 9.0.0
    ini:
      - {section: libssh_connection, key: agent}
    env:
      - name: ANSIBLE_LIBSSH_AGENT
    vars:
      - name: ansible_libssh_agent
  identity_agent:
    description: Socket of the SSH agent. Not set, it is what the environment variable E(SSH_AUTH_SOCK) says; V(none) is no agent.
    type: string
    version_added: 9.0.0
    ini:
      - {section: libssh_connection, key: identity_agent}
    env:
      - name: ANSIBLE_LIBSSH_IDENTITY_AGENT
    vars:
      - name: ansible_libssh_identity_agent
  look_for_keys:
    description:
      - Whether to try the usual key files below C(~/.ssh), and the keys of the SSH agent if O(agent) is not set, besides those named by
        O(private_key_file) and O(identities).
    type: boolean
    default: true
    ini:
      - {section: paramiko_connection, key: look_for_keys}
      - {section: libssh_connection, key: look_for_keys}
    env:
      - name: ANSIBLE_PARAMIKO_LOOK_FOR_KEYS
      - name: ANSIBLE_LIBSSH_LOOK_FOR_KEYS
    vars:
      - name: ansible_libssh_look_for_keys
        version_added: 9.0.0
  pkcs11_provider:
    description:
      - Library of a PKCS#11 token or smart card, whose keys are tried.
      - With C(pkcs11:) URIs (RFC 7512) in O(private_key_file) or O(identities) only those keys are. A PIN that the URI does not have
        (C(pin-value)) is asked for on the terminal.
    type: string
    version_added: 9.0.0
    ini:
      - {section: ssh_connection, key: pkcs11_provider}
      - {section: libssh_connection, key: pkcs11_provider}
    env:
      - name: ANSIBLE_PKCS11_PROVIDER
      - name: ANSIBLE_LIBSSH_PKCS11_PROVIDER
    vars:
      - name: ansible_ssh_pkcs11_provider
      - name: ansible_libssh_pkcs11_provider
  security_key_provider:
    description:
      - How to reach FIDO2 security keys for C(ed25519-sk) and C(ecdsa-sk) keys that are not in the SSH agent. A library with OpenSSH's
        interface for such, or V(internal), which is devices that are plugged in and takes libfido2 on the controller.
      - Not set, it is what the environment variable E(SSH_SK_PROVIDER) says, else V(internal).
    type: string
    version_added: 9.0.0
    ini:
      - {section: libssh_connection, key: security_key_provider}
    env:
      - name: ANSIBLE_LIBSSH_SECURITY_KEY_PROVIDER
    vars:
      - name: ansible_libssh_security_key_provider
  forward_agent:
    description:
      - Whether commands on the host can use the SSH agent, to log in elsewhere.
      - Who is root on the host can use it, too, as long as the connection stands.
    type: boolean
    version_added: 9.0.0
    ini:
      - {section: libssh_connection, key: forward_agent}
    env:
      - name: ANSIBLE_LIBSSH_FORWARD_AGENT
    vars:
      - name: ansible_libssh_forward_agent
  preferred_authentications:
    description:
      - Names of login methods, in the order in which to try them; others are not tried. C(publickey), C(password),
        C(keyboard-interactive), C(gssapi-with-mic).
    type: list
    elements: str
    version_added: 9.0.0
    ini:
      - {section: libssh_connection, key: preferred_authentications}
    env:
      - name: ANSIBLE_LIBSSH_PREFERRED_AUTHENTICATIONS
    vars:
      - name: ansible_libssh_preferred_authentications
  gss_auth:
    description:
      - Whether to log in by GSSAPI (Kerberos). V(true) tries it first; not set, it is tried last.
      - Needs the GSSAPI library of MIT Kerberos on this machine (C(libgssapi_krb5.so.2)), and a ticket.
    type: boolean
    version_added: 9.0.0
    ini:
      - {section: libssh_connection, key: gss_auth}
    env:
      - name: ANSIBLE_LIBSSH_GSS_AUTH
    vars:
      - name: ansible_libssh_gss_auth
  gss_kex:
    description:
      - Whether Kerberos may vouch for the host, in a GSSAPI key exchange; its key is in no known hosts file then, and not checked.
      - If the server doesn't take part, or there is no ticket, all is as without it.
    type: boolean
    version_added: 9.0.0
    ini:
      - {section: libssh_connection, key: gss_kex}
    env:
      - name: ANSIBLE_LIBSSH_GSS_KEX
    vars:
      - name: ansible_libssh_gss_kex
  gss_deleg_creds:
    description: Whether to hand the Kerberos ticket on to the host, which can then act as the user elsewhere.
    type: boolean
    version_added: 9.0.0
    ini:
      - {section: libssh_connection, key: gss_deleg_creds}
    env:
      - name: ANSIBLE_LIBSSH_GSS_DELEG_CREDS
    vars:
      - name: ansible_libssh_gss_deleg_creds
  gss_server_identity:
    description: Name by which Kerberos knows the host, where that is not the name that is connected to.
    type: string
    version_added: 9.0.0
    ini:
      - {section: libssh_connection, key: gss_server_identity}
    env:
      - name: ANSIBLE_LIBSSH_GSS_SERVER_IDENTITY
    vars:
      - name: ansible_libssh_gss_server_identity
  gss_client_identity:
    description: Principal to log in as, of those that there are tickets for.
    type: string
    version_added: 9.0.0
    ini:
      - {section: libssh_connection, key: gss_client_identity}
    env:
      - name: ANSIBLE_LIBSSH_GSS_CLIENT_IDENTITY
    vars:
      - name: ansible_libssh_gss_client_identity
  host_key_checking:
    description:
      - What to do about the key that the host shows. A key other than the one on record is refused with all of them but V(no).
      - "V(true) or V(ask): ask about a host that isn't known, on the terminal. Without one, or for any answer but C(yes), it is refused."
      - "V(yes), as a string: refuse a host that isn't known. (A V(yes) that YAML takes for a boolean is V(true).)"
      - "V(accept-new): add the key of a host that isn't known."
      - "V(no) or V(false): trust any host that answers, also one whose key has changed."
      - With the default, C(StrictHostKeyChecking) in O(ssh_args) or O(config_file) decides, if it is there.
    type: string
    default: "true"
    ini:
      - {section: defaults, key: host_key_checking}
      - {section: ssh_connection, key: host_key_checking}
      - {section: paramiko_connection, key: host_key_checking}
      - {section: libssh_connection, key: host_key_checking}
    env:
      - name: ANSIBLE_HOST_KEY_CHECKING
      - name: ANSIBLE_SSH_HOST_KEY_CHECKING
      - name: ANSIBLE_PARAMIKO_HOST_KEY_CHECKING
      - name: ANSIBLE_LIBSSH_HOST_KEY_CHECKING
    vars:
      - name: ansible_host_key_checking
      - name: ansible_ssh_host_key_checking
      - name: ansible_paramiko_host_key_checking
      - name: ansible_libssh_host_key_checking
  host_key_auto_add:
    description: Add the key of a host that isn't known, without a question, as O(host_key_checking=accept-new).
    type: boolean
    ini:
      - {section: paramiko_connection, key: host_key_auto_add}
      - {section: libssh_connection, key: host_key_auto_add}
    env:
      - name: ANSIBLE_PARAMIKO_HOST_KEY_AUTO_ADD
      - name: ANSIBLE_LIBSSH_HOST_KEY_AUTO_ADD
  host_key:
    description:
      - The public key of the host, as in a C(.pub) file, or its fingerprint (C(SHA256:...)) as C(ssh-keygen -l) prints it, or a list of such.
      - The host must show one of these, whatever the known hosts files and O(host_key_checking) say.
    type: raw
    version_added: 9.0.0
    ini:
      - {section: libssh_connection, key: host_key}
    env:
      - name: ANSIBLE_LIBSSH_HOST_KEY
    vars:
      - name: ansible_libssh_host_key
  host_key_alias:
    description: The name that the host has in the known hosts files, where that is another one than its address.
    type: string
    version_added: 9.0.0
    ini:
      - {section: libssh_connection, key: host_key_alias}
    env:
      - name: ANSIBLE_LIBSSH_HOST_KEY_ALIAS
    vars:
      - name: ansible_libssh_host_key_alias
  known_hosts_file:
    description:
      - The user's known hosts files. New keys go to the first. V(none), or C(/dev/null), is no file.
      - Not set, it is what O(config_file) says, else C(~/.ssh/known_hosts) and C(~/.ssh/known_hosts2).
    type: list
    elements: string
    version_added: 9.0.0
    ini:
      - {section: libssh_connection, key: known_hosts_file}
    env:
      - name: ANSIBLE_LIBSSH_KNOWN_HOSTS_FILE
    vars:
      - name: ansible_libssh_known_hosts_file
  global_known_hosts_file:
    description: The machine's known hosts files. Not set, it is what O(config_file) says, else those in C(/etc/ssh).
    type: list
    elements: string
    version_added: 9.0.0
    ini:
      - {section: libssh_connection, key: global_known_hosts_file}
    env:
      - name: ANSIBLE_LIBSSH_GLOBAL_KNOWN_HOSTS_FILE
    vars:
      - name: ansible_libssh_global_known_hosts_file
  revoked_host_keys_file:
    description:
      - Files of host keys that are refused whatever else is set, as public keys or as what C(ssh-keygen -k) makes. A file that
        cannot be read refuses all keys.
      - Not set, it is RevokedHostKeys of O(config_file).
    type: list
    elements: string
    version_added: 9.0.0
    ini:
      - {section: libssh_connection, key: revoked_host_keys_file}
    env:
      - name: ANSIBLE_LIBSSH_REVOKED_HOST_KEYS_FILE
    vars:
      - name: ansible_libssh_revoked_host_keys_file
  config_file:
    description:
      - An OpenSSH client configuration file to read, instead of C(~/.ssh/config) and C(/etc/ssh/ssh_config); V(none) reads none at all.
      - Options that are set here win over it.
    type: string
    version_added: 5.1.0
    ini:
      - {section: libssh_connection, key: config_file}
    env:
      - name: ANSIBLE_LIBSSH_CONFIG_FILE
    vars:
      - name: ansible_libssh_config_file
  proxy_command:
    description:
      - A local command whose standard input and output lead to the host. C(%h), C(%p) and C(%r) stand for host, port and user.
    type: string
    default: ""
    ini:
      - {section: paramiko_connection, key: proxy_command}
      - {section: libssh_connection, key: proxy_command}
    env:
      - name: ANSIBLE_PARAMIKO_PROXY_COMMAND
      - name: ANSIBLE_LIBSSH_PROXY_COMMAND
    vars:
      - name: ansible_paramiko_proxy_command
      - name: ansible_libssh_proxy_command
  proxy_jump:
    description:
      - "Hosts to go through, first to last: C([user@]host[:port],...), as for C(ssh -J), or a list of such and of mappings."
      - A mapping has C(host), and what differs for that hop, by the names of the options here, with C(user), C(password) and such;
        also O(host_key), O(known_hosts_file) or O(private_key_file).
      - Each hop is a connection of this plugin's own, in the process. It gets the keys, the agent, the time-outs and the settings for host keys of the
        host, unless it has its own, and never the host's password.
      - V(none) goes directly, whatever O(config_file) says. Not set, C(ProxyJump) in O(ssh_args) or O(config_file) counts.
    type: raw
    version_added: 9.0.0
    ini:
      - {section: libssh_connection, key: proxy_jump}
    env:
      - name: ANSIBLE_LIBSSH_PROXY_JUMP
    vars:
      - name: ansible_libssh_proxy_jump
  proxy_jump_logins:
    description:
      - How many logins at each host of O(proxy_jump) the hosts behind it share, taking turns. One carries any number of hosts; more use more
        processors, and more of the bandwidth of a long line.
      - It holds while logins are kept, see O(persist). Without that each task makes a login of its own at each hop.
    type: int
    default: 1
    version_added: 9.0.0
    ini:
      - {section: libssh_connection, key: proxy_jump_logins}
    env:
      - name: ANSIBLE_LIBSSH_PROXY_JUMP_LOGINS
    vars:
      - name: ansible_libssh_proxy_jump_logins
  proxy:
    description:
      - "A proxy to connect through, as C(socks5://[user:password@]host[:port]), or with C(socks5h), where the proxy looks up the name of
        the host, or C(http), for its C(CONNECT)."
    type: string
    version_added: 9.0.0
    ini:
      - {section: libssh_connection, key: proxy}
    env:
      - name: ANSIBLE_LIBSSH_PROXY
    vars:
      - name: ansible_libssh_proxy
  unix_socket:
    description:
      - The path of a Unix socket to connect to instead of O(remote_addr), which remains the name that the host is known by.
    type: path
    version_added: 9.0.0
    ini:
      - {section: libssh_connection, key: unix_socket}
    env:
      - name: ANSIBLE_LIBSSH_UNIX_SOCKET
    vars:
      - name: ansible_libssh_unix_socket
  address_family:
    description:
      - The kind of address to connect to. Not set, it is what O(config_file) says, else any.
    type: string
    choices: [any, inet, inet6]
    version_added: 9.0.0
    ini:
      - {section: libssh_connection, key: address_family}
    env:
      - name: ANSIBLE_LIBSSH_ADDRESS_FAMILY
    vars:
      - name: ansible_libssh_address_family
  bind_address:
    description:
      - The address of this machine to connect from.
    type: string
    version_added: 9.0.0
    ini:
      - {section: libssh_connection, key: bind_address}
    env:
      - name: ANSIBLE_LIBSSH_BIND_ADDRESS
    vars:
      - name: ansible_libssh_bind_address
  ssh_args:
    description:
      - Arguments as for the C(ssh) program. They stand where an option isn't set here, and win over O(config_file).
        Those about C(ssh)'s own process (C(ControlMaster) and such) have no meaning; what can't be honoured is named in a warning.
    type: string
    ini:
      - {section: ssh_connection, key: ssh_args}
    env:
      - name: ANSIBLE_SSH_ARGS
    vars:
      - name: ansible_ssh_args
  ssh_common_args:
    description: More arguments, read after O(ssh_args).
    type: string
    ini:
      - {section: ssh_connection, key: ssh_common_args}
    env:
      - name: ANSIBLE_SSH_COMMON_ARGS
    vars:
      - name: ansible_ssh_common_args
    cli:
      - name: ssh_common_args
  ssh_extra_args:
    description: More arguments, read after O(ssh_common_args).
    type: string
    ini:
      - {section: ssh_connection, key: ssh_extra_args}
    env:
      - name: ANSIBLE_SSH_EXTRA_ARGS
    vars:
      - name: ansible_ssh_extra_args
    cli:
      - name: ssh_extra_args
  key_exchange_algorithms:
    description: Key exchange algorithms to offer, comma separated, best first. C(+), C(-) or C(^) in front changes the default list.
    type: str
    version_added: 7.1.0
    ini:
      - {section: libssh_connection, key: key_exchange_algorithms}
    env:
      - name: ANSIBLE_LIBSSH_KEY_EXCHANGE_ALGORITHMS
    vars:
      - name: ansible_libssh_key_exchange_algorithms
  publickey_accepted_algorithms:
    description: Signature algorithms to log in with, comma separated.
    type: str
    default: ""
    ini:
      - {section: libssh_connection, key: publickey_algorithms}
    env:
      - name: ANSIBLE_LIBSSH_PUBLICKEY_ALGORITHMS
    vars:
      - name: ansible_libssh_publickey_algorithms
  hostkeys:
    description: Types of host keys to accept, comma separated, best first.
    type: str
    default: ""
    ini:
      - {section: libssh_connection, key: hostkeys}
    env:
      - name: ANSIBLE_LIBSSH_HOSTKEYS
    vars:
      - name: ansible_libssh_hostkeys
  ciphers:
    description: Ciphers to offer, comma separated, best first.
    type: str
    version_added: 9.0.0
    ini:
      - {section: libssh_connection, key: ciphers}
    env:
      - name: ANSIBLE_LIBSSH_CIPHERS
    vars:
      - name: ansible_libssh_ciphers
  macs:
    description: Message authentication codes to offer, comma separated, best first.
    type: str
    version_added: 9.0.0
    ini:
      - {section: libssh_connection, key: macs}
    env:
      - name: ANSIBLE_LIBSSH_MACS
    vars:
      - name: ansible_libssh_macs
  compression:
    description: Whether to compress what is sent. It helps on slow links only.
    type: boolean
    version_added: 9.0.0
    ini:
      - {section: libssh_connection, key: compression}
    env:
      - name: ANSIBLE_LIBSSH_COMPRESSION
    vars:
      - name: ansible_libssh_compression
  rsa_min_size:
    description:
      - The smallest RSA key, in bits, to accept of a host and to log in with.
    type: integer
    version_added: 9.0.0
    ini:
      - {section: libssh_connection, key: rsa_min_size}
    env:
      - name: ANSIBLE_LIBSSH_RSA_MIN_SIZE
    vars:
      - name: ansible_libssh_rsa_min_size
  legacy_algorithms:
    description:
      - Offer also what old network gear has and nothing else should use, after all else - key exchange and signatures with SHA-1, CBC ciphers,
        HMAC-SHA1.
      - libssh 0.11 and newer can't do DSA (C(ssh-dss)) at all.
    type: boolean
    default: false
    version_added: 9.0.0
    ini:
      - {section: libssh_connection, key: legacy_algorithms}
    env:
      - name: ANSIBLE_LIBSSH_LEGACY_ALGORITHMS
    vars:
      - name: ansible_libssh_legacy_algorithms
  pty:
    description:
      - Whether a command that C(become) runs may have a terminal. On a terminal its standard error is part of its output.
      - Some C(become) programs want one (C(requiretty) of sudo, doas). A command that is fed through its standard input, as with
        O(pipelining), never has one, and neither has a command without C(become).
    type: boolean
    default: true
    ini:
      - {section: ssh_connection, key: usetty}
      - {section: paramiko_connection, key: pty}
      - {section: libssh_connection, key: pty}
    env:
      - name: ANSIBLE_SSH_USETTY
      - name: ANSIBLE_PARAMIKO_PTY
      - name: ANSIBLE_LIBSSH_PTY
    vars:
      - name: ansible_ssh_use_tty
      - name: ansible_libssh_pty
  pipelining:
    description:
      - Feed modules to the remote Python through its standard input, instead of copying them to the host first.
      - Much faster. With sudo it needs C(requiretty) to be off.
    type: boolean
    default: false
    version_added: 9.0.0
    ini:
      - {section: defaults, key: pipelining}
      - {section: connection, key: pipelining}
      - {section: ssh_connection, key: pipelining}
      - {section: libssh_connection, key: pipelining}
    env:
      - name: ANSIBLE_PIPELINING
      - name: ANSIBLE_SSH_PIPELINING
      - name: ANSIBLE_LIBSSH_PIPELINING
    vars:
      - name: ansible_pipelining
      - name: ansible_ssh_pipelining
      - name: ansible_libssh_pipelining
  transfer_method:
    description: How files are moved.
    type: string
    default: smart
    choices:
      smart: The first of the three that the server has.
      sftp: The SFTP subsystem of the server.
      scp: The C(scp) program on the host.
      piped: The standard input and output of C(cat) on the host.
    version_added: 9.0.0
    ini:
      - {section: ssh_connection, key: transfer_method}
      - {section: libssh_connection, key: transfer_method}
    env:
      - name: ANSIBLE_SSH_TRANSFER_METHOD
      - name: ANSIBLE_LIBSSH_TRANSFER_METHOD
    vars:
      - name: ansible_ssh_transfer_method
      - name: ansible_libssh_transfer_method
  timeout:
    description: Seconds that it may take until the host is connected and the keys are exchanged.
    type: integer
    default: 10
    version_added: 9.0.0
    ini:
      - {section: defaults, key: timeout}
      - {section: ssh_connection, key: timeout}
      - {section: paramiko_connection, key: timeout}
      - {section: libssh_connection, key: timeout}
    env:
      - name: ANSIBLE_TIMEOUT
      - name: ANSIBLE_SSH_TIMEOUT
      - name: ANSIBLE_PARAMIKO_TIMEOUT
      - name: ANSIBLE_LIBSSH_TIMEOUT
    vars:
      - name: ansible_ssh_timeout
      - name: ansible_paramiko_timeout
      - name: ansible_libssh_timeout
    cli:
      - name: timeout
  reconnection_retries:
    description:
      - How many times to try again to connect, after 0, 1, 3, 7, … seconds.
      - A login that was refused and a host key that isn't trusted are not tried again. Neither is a command that may have been started.
    type: integer
    default: 0
    version_added: 9.0.0
    ini:
      - {section: connection, key: retries}
      - {section: ssh_connection, key: retries}
      - {section: libssh_connection, key: reconnection_retries}
    env:
      - name: ANSIBLE_SSH_RETRIES
      - name: ANSIBLE_LIBSSH_RECONNECTION_RETRIES
    vars:
      - name: ansible_ssh_retries
      - name: ansible_libssh_reconnection_retries
  banner_timeout:
    description:
      - Seconds that the server may take to greet and to exchange keys, once it is connected. Not set, it is what is left of O(timeout).
    type: float
    version_added: 9.0.0
    ini:
      - {section: paramiko_connection, key: banner_timeout}
      - {section: libssh_connection, key: banner_timeout}
    env:
      - name: ANSIBLE_PARAMIKO_BANNER_TIMEOUT
      - name: ANSIBLE_LIBSSH_BANNER_TIMEOUT
    vars:
      - name: ansible_paramiko_banner_timeout
      - name: ansible_libssh_banner_timeout
  server_alive_interval:
    description:
      - Seconds of silence, at most, after which the server is asked for a sign of life, as C(ServerAliveInterval) of ssh_config. V(0) is never.
        A server that is gone without a word is given up after O(server_alive_count_max) times that.
      - Not set, it is what O(ssh_args) or O(config_file) say, else 15 while the login is kept, see O(persist), and never without that.
    type: integer
    version_added: 9.0.0
    ini:
      - {section: libssh_connection, key: server_alive_interval}
    env:
      - name: ANSIBLE_LIBSSH_SERVER_ALIVE_INTERVAL
    vars:
      - name: ansible_libssh_server_alive_interval
  server_alive_count_max:
    description:
      - How many such questions without an answer end the connection. Not set, it is what O(config_file) says, else 3.
    type: integer
    version_added: 9.0.0
    ini:
      - {section: libssh_connection, key: server_alive_count_max}
    env:
      - name: ANSIBLE_LIBSSH_SERVER_ALIVE_COUNT_MAX
    vars:
      - name: ansible_libssh_server_alive_count_max
  persistent_connect_timeout:
    description: Seconds that the login may take after that.
    type: int
    default: 30
    ini:
      - {section: persistent_connection, key: connect_timeout}
    env:
      - name: ANSIBLE_PERSISTENT_CONNECT_TIMEOUT
    vars:
      - name: ansible_connect_timeout
  persistent_command_timeout:
    description:
      - Seconds that a C(become) program may keep silent before it asks for its password or starts the command.
      - The command itself may take any time; the C(timeout) keyword of a task limits it.
    type: int
    default: 30
    ini:
      - {section: persistent_connection, key: command_timeout}
    env:
      - name: ANSIBLE_PERSISTENT_COMMAND_TIMEOUT
    vars:
      - name: ansible_command_timeout
  persistent_log_messages:
    description:
      - Write libssh's own log to Ansible's log file (C(log_path)), whatever the verbosity. It holds no secrets.
      - C(-vvvvv) shows the same log on the terminal, and so does O(verbosity).
    type: boolean
    default: false
    ini:
      - {section: persistent_connection, key: log_messages}
    env:
      - name: ANSIBLE_PERSISTENT_LOG_MESSAGES
    vars:
      - name: ansible_persistent_log_messages
  verbosity:
    description:
      - Show libssh's own log on the terminal, whatever the verbosity of Ansible. V(1) shows warnings, V(3) the steps of the protocol,
        V(4) packets as well. It holds no secrets.
      - V(0) shows the log with C(-vvvvv) only, as V(3) does.
    type: int
    default: 0
    version_added: 9.0.0
    ini:
      - {section: ssh_connection, key: verbosity}
      - {section: libssh_connection, key: verbosity}
    env:
      - name: ANSIBLE_SSH_VERBOSITY
      - name: ANSIBLE_LIBSSH_VERBOSITY
    vars:
      - name: ansible_ssh_verbosity
      - name: ansible_libssh_verbosity
  import_modules:
    description: Whether the action plugins of network modules run their module inside Ansible's process. They read it here.
    type: boolean
    default: true
    ini:
      - {section: ansible_network, key: import_modules}
    env:
      - name: ANSIBLE_NETWORK_IMPORT_MODULES
    vars:
      - name: ansible_network_import_modules
  use_persistent_connections:
    description:
      - Ansible's switch for connections that outlive their task. It has no effect here, and V(true) is answered with a warning. Use O(persist).
    type: boolean
    default: false
    ini:
      - {section: defaults, key: use_persistent_connections}
    env:
      - name: ANSIBLE_USE_PERSISTENT_CONNECTIONS
  persist:
    description:
      - How many seconds a login is kept after its last use, for the tasks and the runs of Ansible that follow. V(0) is a login for
        each task.
      - A small process of the user's own, the connection holder, keeps it. It is started when it is needed and ends by itself;
        C(python -m pylibsshext mux list) shows what it holds. Two connections share a login only if everything that makes them is equal.
      - With C(-vvvvv), O(verbosity) or O(persistent_log_messages), each task logs in by itself, and libssh's log tells of it.
    type: int
    default: 60
    version_added: 9.0.0
    ini:
      - {section: libssh_connection, key: persist}
    env:
      - name: ANSIBLE_LIBSSH_PERSIST
    vars:
      - name: ansible_libssh_persist
  prefer_installed:
    description:
      - Use the C(pylibsshext) that is installed for Ansible's Python, where there is one, instead of the collection's own.
    type: boolean
    default: false
    version_added: 9.0.0
    ini:
      - {section: libssh_connection, key: prefer_installed}
    env:
      - name: ANSIBLE_LIBSSH_PREFER_INSTALLED
    vars:
      - name: ansible_libssh_prefer_installed
"""

import gc
import importlib
import importlib.machinery
import importlib.util
import json
import logging
import os
import re
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cached_property, partial
from types import MappingProxyType, ModuleType
from typing import TYPE_CHECKING, Any

from ansible import constants
from ansible.errors import (
    AnsibleAuthenticationFailure,
    AnsibleConnectionFailure,
    AnsibleError,
    AnsibleFileNotFound,
    AnsiblePromptInterrupt,
    AnsiblePromptNoninteractive,
)
from ansible.module_utils.common.text.converters import to_bytes, to_text
from ansible.plugins.connection import ConnectionBase
from ansible.plugins.loader import get_shell_plugin
from ansible.utils.display import Display

_NAME = "ansible_collections.ansible.netcommon.plugins.connection.libssh"
_PRELOADED = __name__ != _NAME
_PLUGINS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class _Beside:
    """A module of this collection's module_utils, imported when it is first used."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(_beside(self._name), attribute)


def _beside(name: str) -> ModuleType:
    """Import a module of this collection's module_utils by Python's own machinery.

    Ansible's compiles what it imports from a collection anew in each process, and so for each task. Python keeps what it compiled.
    """
    package = "ansible_netcommon_module_utils"
    if package not in sys.modules:
        spec = importlib.machinery.ModuleSpec(package, None, is_package=True)
        spec.submodule_search_locations = [os.path.join(_PLUGINS, "module_utils")]
        sys.modules[package] = importlib.util.module_from_spec(spec)
    return importlib.import_module(f"{package}.{name}")


def _define_options() -> None:
    """Tell Ansible of the options, as the artifact has them ready: it would read the documentation above for each task.

    A checkout has no such file, and there it does.
    """
    ready = os.path.join(_PLUGINS, "module_utils", "_libssh_options.json")
    with suppress(FileNotFoundError), open(ready, encoding="utf-8") as file:
        options = json.load(file)
        for name in {_NAME, __name__.rpartition(".")[2]} if _PRELOADED else {_NAME}:
            constants.config.initialize_plugin_configuration_definitions("connection", name, options)


def _preload() -> None:
    """Import what each task uses, and keep the garbage collector from it.

    What Ansible finds by the path ``connection_plugins`` it imports before it starts its workers, and they have it then; what it
    finds in a collection each of them imports anew.  Before a fork Python's documentation asks for `gc.freeze`: the workers do not
    copy what no collection goes through.
    """
    for name in ("_command", "_session", "_transfers"):
        _beside(name)
    with suppress(ImportError):  # where only the plugin was copied to
        importlib.import_module(_NAME.rpartition(".")[0])
    get_shell_plugin(shell_type="sh")  # which nearly each connection has
    with suppress(ImportError):  # said when a task needs it
        _beside("_holder").preload(_bundled.load())
    gc.freeze()


if TYPE_CHECKING:
    from ..module_utils import _bundled, _clixml, _command, _connection_options, _escalation, _session, _ssh_args, _transfers
else:
    _bundled, _clixml, _command, _connection_options, _escalation, _session, _ssh_args, _transfers = map(
        _Beside,
        ("_bundled", "_clixml", "_command", "_connection_options", "_escalation", "_session", "_ssh_args", "_transfers"),
    )
_define_options()
if _PRELOADED:
    _preload()

display = Display()

# From this verbosity on it is shown what ssh -v would tell.
_REPORT_VERBOSITY = 3
# From this one on libssh's own log is, with this much of it: a number of libssh's.
_LOG_VERBOSITY = 5
_LOG_DETAIL = 3

_LOGGER = logging.getLogger("ansible-pylibssh")  # the library's

_LONGEST_PAUSE = 30  # seconds between two attempts to connect


def __getattr__(name: str) -> Any:
    """Give ``Session`` to those who import it from here, without loading the library for all others."""
    if name == "Session":
        return _bundled.load().session.Session
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


class _LibraryLog(logging.Handler):
    """libssh's own log, shown with the host in front."""

    def __init__(self, host: str, log_only: bool) -> None:
        super().__init__()
        self._host = host
        self._log_only = log_only

    def emit(self, record: logging.LogRecord) -> None:
        """Show one message."""
        message = f"<{self._host}> LIBSSH: {record.getMessage()}"
        display.display(message, log_only=self._log_only)


class Connection(ConnectionBase):
    """Run commands and move files over one libssh session."""

    # Not the plugin's name: by it action plugins, ansible.posix.synchronize for one, know what else will reach the host.
    transport = "ssh"
    has_pipelining = True

    _session: Any = None
    _mover: Any = None
    _wanted: Mapping[str, Any] = MappingProxyType({})
    _log: logging.Handler = logging.NullHandler()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._windows = bool(getattr(self._shell, "_IS_WINDOWS", False))
        if self._windows:
            # Modules are PowerShell, and come by standard input. The second line is for ansible-core up to 2.18.
            self.module_implementation_preferences = (".ps1", ".exe", "")
            self.always_pipeline_modules = self.has_native_async = True
            self.allow_executable = False

    @property
    def has_tty(self) -> bool:
        """Whether a become program can have a terminal."""
        return bool(self.get_option("pty"))

    def exec_command(self, cmd: str, in_data: bytes | None = None, sudoable: bool = True) -> tuple[int, bytes, bytes]:
        """Run a command; return its exit status, standard output and standard error."""
        super().exec_command(cmd, in_data=in_data, sudoable=sudoable)  # connects
        display.vvv(f"EXEC {cmd}", host=self._host)
        # What become never runs is Ansible's own: where the home is, a temporary directory, modes. On Windows "runas" happens inside
        # the command.
        escalation = self._escalation(cmd) if sudoable and not self._windows else None
        with self._ansible_errors("run a command"):
            finished = _command.run(
                self._library,
                self._session,
                to_bytes(cmd, errors="surrogate_or_strict"),
                stdin=to_bytes(in_data, nonstring="passthru"),
                pty=bool(escalation and not in_data and self.get_option("pty")),
                escalation=escalation,
                patience=self.get_option("persistent_command_timeout"),
                short=not sudoable and not in_data and getattr(self._shell, "SHELL_FAMILY", None) == "sh",
            )
        stderr = _clixml.plain(finished.stderr) if self._windows else finished.stderr
        if display.verbosity >= _REPORT_VERBOSITY and not self._play_context.no_log:
            self._report(f"({finished.status}, {finished.stdout!r}, {stderr!r})")
        return finished.status, finished.stdout, stderr

    def put_file(self, in_path: str, out_path: str) -> None:
        """Copy a file to the host."""
        super().put_file(in_path, out_path)
        display.vvv(f"PUT {in_path} TO {out_path}", host=self._host)
        if not os.path.exists(to_bytes(in_path, errors="surrogate_or_strict")):
            raise AnsibleFileNotFound(file_name=in_path)
        with self._ansible_errors(f"put {out_path}"):
            self._files().put(in_path, self._remote_path(out_path))

    def fetch_file(self, in_path: str, out_path: str) -> None:
        """Copy a file from the host."""
        super().fetch_file(in_path, out_path)
        display.vvv(f"FETCH {in_path} TO {out_path}", host=self._host)
        with self._ansible_errors(f"fetch {in_path}"):
            self._files().fetch(self._remote_path(in_path), out_path)

    def is_pipelining_enabled(self, wrap_async: bool = False) -> bool:
        """Whether modules are fed to their interpreter; PowerShell gets them in no other way."""
        return self._windows or bool(super().is_pipelining_enabled(wrap_async))

    def _remote_path(self, path: str) -> str:
        """Return a path as the server's SFTP and scp want it: for Windows, ``/C:/Users/me`` and no backslash."""
        if not self._windows:
            return path
        return re.sub(r"^(\w:)", r"/\1", path.replace("\\", "/"))

    def reset(self) -> None:
        """End the session, the connection holder's too; the next command makes another."""
        self.close()
        self._wanted = self._read_options()
        with self._ansible_errors("reset the connection"):
            _session.end_session(self._library, self._wanted, self._report)

    def close(self) -> None:
        """End the session, if there is one."""
        session, self._session, self._mover = self._session, None, None
        self._connected = False
        if session:
            display.vvv("CLOSE LIBSSH CONNECTION", host=self._host)
            session.close()
            _LOGGER.removeHandler(self._log)

    def set_options(self, *args: Any, **kwargs: Any) -> None:
        """Take new options; in a loop each item may bring its own, and its own host."""
        super().set_options(*args, **kwargs)
        if self._connected and self._read_options() != self._wanted:
            self.close()

    def _connect(self) -> Connection:
        if not self._connected:
            self._wanted = self._read_options()
            display.vvv(f"ESTABLISH LIBSSH CONNECTION TO {_connection_options.destination(self._wanted)}", host=self._host)
            self._follow_log()
            if self.get_option("use_persistent_connections"):
                display.warning(
                    "use_persistent_connections has no effect on ansible.netcommon.libssh: set ansible_libssh_persist instead"
                )
            self._warn_of_algorithms()
            with self._ansible_errors("connect"):
                self._session = self._open_session()
                self._report_session()
            self._connected = True
        return self

    def _files(self) -> Any:
        """Return what moves files."""
        if self._mover is None:
            method = self.get_option("transfer_method")
            methods = [method]
            if method == "smart":
                # Windows has no cat to make a pipe with.
                methods = [name for name in _transfers.SMART if not self._windows or name != "piped"]
            self._mover = _transfers.Transfers(self._library, self._session, methods, self._shell.quote, self._report)
        return self._mover

    def _open_session(self) -> Any:
        """Return a session; try again what may go better the next time."""
        errors = self._library.errors
        connect = partial(
            _session.open_session,
            self._library,
            self._wanted,
            self._ask,
            self._answer,
            self._notify,
            self._persist,
            self._report,
        )
        retries = int(self.get_option("reconnection_retries"))
        for attempt in range(retries):
            try:
                return connect()
            except (errors.AuthenticationError, errors.HostKeyError, errors.KeyImportError):
                raise
            except (errors.LibsshException, OSError) as exc:
                pause = min(2**attempt - 1, _LONGEST_PAUSE)
                display.vv(f"Can't connect: {exc}. Retry {attempt + 1} of {retries} in {pause} s", host=self._host)
                time.sleep(pause)
        return connect()

    @cached_property
    def _library(self) -> ModuleType:
        try:
            return _bundled.load(prefer_installed=self.get_option("prefer_installed"))
        except ImportError as exc:
            raise AnsibleError(f"ansible.netcommon.libssh can't load its SSH library: {exc}") from exc

    def _read_options(self) -> dict[str, Any]:
        """Return the options that make a connection, with what ssh_args and its kin add."""
        options = {name: self.get_option(name) for name in _connection_options.OPTIONS}
        options["remote_addr"] = options["remote_addr"] or self._play_context.remote_addr
        options["password"] = options["password"] or self._play_context.password
        lines = [self.get_option(name) for name in ("ssh_args", "ssh_common_args", "ssh_extra_args")]
        try:
            arguments = _ssh_args.parse(*lines) if any(lines) else None
        except ValueError as exc:
            raise AnsibleError(f"Can't read ssh_args, ssh_common_args or ssh_extra_args: {exc}") from exc
        try:
            options["proxy_jump"] = _connection_options.hops(options["proxy_jump"])
        except ValueError as exc:
            raise AnsibleError(f"Can't read proxy_jump (ansible_libssh_proxy_jump): {exc}") from exc
        if arguments is None:
            return _connection_options.merged({**options, "ssh_options": []}, {})
        unhonoured = self._library.settings.unhonoured(arguments.lines) if arguments.lines else []
        for ignored in [*arguments.ignored, *unhonoured]:
            display.warning(f"ansible.netcommon.libssh can't honour this of ssh_args, and goes without it: {ignored}")
        return _connection_options.merged({**options, "ssh_options": arguments.lines}, arguments.options)

    def _warn_of_algorithms(self) -> None:
        """Name the algorithms that are asked for and that the library does not have: it goes without them, if there are others."""
        asked = {name: value for name in _connection_options.ALGORITHMS if (value := self._wanted[name])}
        if not asked:
            return  # as for nearly every task, which then need not load what knows them
        for keyword, names in self._library.settings.unsupported(asked).items():
            display.warning(f"ansible.netcommon.libssh does not have {', '.join(names)} ({keyword}), and goes without")

    @property
    def _host(self) -> str:
        """The host's name for the log."""
        return str(self.get_option("remote_addr") or self._play_context.remote_addr)

    @property
    def _persist(self) -> int:
        """How long to keep the login; libssh's log is only told by a session of this process's own."""
        return 0 if self._log_detail else int(self.get_option("persist"))

    @property
    def _log_detail(self) -> int:
        """How much of its log libssh shall tell, in its own numbers: from 0, nothing, to 4."""
        wanted = min(int(self.get_option("verbosity")), 4)
        if display.verbosity >= _LOG_VERBOSITY or self.get_option("persistent_log_messages"):
            wanted = max(wanted, _LOG_DETAIL)
        return wanted

    def _escalation(self, command: str) -> _escalation.Escalation | None:
        """Return the talk to have before *command* runs, if become has built it."""
        become = self.become
        if not become or not become.success or become.success not in command:
            return None
        password = become.get_option("become_pass", playcontext=self._play_context)
        return _escalation.Escalation(become, _connection_options.plain(password))

    def _ask(self, question: str) -> str:
        """Ask on the terminal; without one the answer is empty."""
        return (self._prompt(question) or "").strip()

    def _answer(self, question: str, secret: bool) -> str | None:
        """Have a question of the login answered on the terminal; None if there is none."""
        return self._prompt(f"{_connection_options.destination(self._wanted)} asks: {question}", secret)

    def _prompt(self, question: str, secret: bool = False) -> str | None:
        """Put a question to the user, if there is one who wants to be asked."""
        if self._library.settings.unattended(self._wanted["ssh_options"]):
            return None
        try:
            return str(to_text(display.prompt_until(question, private=secret)))
        except (AnsiblePromptNoninteractive, AnsiblePromptInterrupt):
            return None

    def _notify(self, message: str) -> None:
        """Tell the user what to do."""
        display.display(f"{_connection_options.destination(self._wanted)}: {message}")

    def _follow_log(self) -> None:
        """Show libssh's log where it is asked for, and keep it out of all other logs."""
        detail = self._log_detail
        _LOGGER.propagate = False
        _LOGGER.disabled = not detail
        if detail:
            _LOGGER.removeHandler(self._log)
            _LOGGER.setLevel(self._library.logging.LOG_MAP_REV[detail])
            on_terminal = display.verbosity >= _LOG_VERBOSITY or self.get_option("verbosity")
            self._log = _LibraryLog(self._host, log_only=not on_terminal)
            _LOGGER.addHandler(self._log)

    def _report_session(self) -> None:
        """Tell what ``ssh -v`` would: which server this is, what both sides settled on, and what was tried to log in."""
        if display.verbosity < _REPORT_VERBOSITY:
            return
        info = self._session.info
        self._report(f"Server is {info.server_banner}, its host key {info.host_key_type} {info.host_key_fingerprint}")
        self._report(f"Key exchange {info.kex}, cipher {info.cipher_out} out and {info.cipher_in} in")
        for attempt in info.auth_attempts:
            self._report(f"Login: {attempt}")

    def _report(self, message: str) -> None:
        display.vvv(message, host=self._host)

    @contextmanager
    def _ansible_errors(self, doing: str) -> Iterator[None]:
        """Raise as Ansible's own errors what goes wrong while *doing* something.

        Not "from" the cause: Ansible would print the cause's text once more behind the advice.
        """
        errors = self._library.errors
        try:
            yield
        except _escalation.EscalationError as exc:
            raise AnsibleError(str(exc)) from exc
        except _transfers.TransferError as exc:
            raise AnsibleError(self._failure(doing, exc)) from None
        except errors.AuthenticationError as exc:
            raise AnsibleAuthenticationFailure(self._failure(doing, exc)) from None
        except (errors.LibsshException, _command.NoExitStatus, _command.NoEscalation, OSError) as exc:
            # Whatever the trouble is, the next command starts with a session that works.
            self.close()
            raise AnsibleConnectionFailure(self._failure(doing, exc)) from None

    def _failure(self, doing: str, error: Exception) -> str:
        advice = self._library.advice.advice(error, self._wanted["remote_addr"], self._wanted["port"] or 22)
        text = error.message if isinstance(error, self._library.errors.AuthenticationError) else str(error)
        if not text.startswith("Failed to authenticate to "):  # and whom as
            text = f"Failed to {doing} ({_connection_options.destination(self._wanted)}): {text}"
        return f"{text.rstrip('.')}. {advice}" if advice else text
