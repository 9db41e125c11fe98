# SPDX-License-Identifier: LGPL-2.1-or-later
"""The types of what ``Session.connect`` takes, for type checkers and editors: nothing else loads this."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any, TypedDict, Union

if TYPE_CHECKING:
    from ._secrets import Secret
    from .kbdint import Callback
    from .keys import Ask

__all__ = ["Keywords"]

Text = Union[str, bytes]
Path = Union[str, bytes, PathLike[str]]
Paths = Union[Path, Sequence[Path]]
Names = Union[str, Sequence[str]]


class Keywords(TypedDict, total=False):
    """The keywords of `Session.connect`, which says what they are for. None is as good as none."""

    host: Text | None
    port: int | None
    user: Text | None
    fd: int | None
    timeout: float | None
    timeout_usec: int | None
    knownhosts: Paths | None
    proxycommand: Text | None
    key_exchange_algorithms: str | None
    publickey_accepted_algorithms: str | None
    hostkeys: str | None
    gssapi_server_identity: str | None
    gssapi_client_identity: str | None
    gssapi_delegate_credentials: bool | None
    log_verbosity: int | None
    ssh_dir: Path | None
    add_identity: Path | None
    gss_kex: bool | None
    ciphers: str | None
    macs: str | None
    compression: str | bool | None
    rekey_data: int | None
    rekey_time: int | None
    rsa_min_size: int | None
    password: Secret | None
    password_prompt: str | None
    private_key: Secret | None
    private_key_password: Secret | None
    look_for_keys: bool | None
    host_key_checking: bool | str | None
    open_session_retries: int | None
    nodelay: bool | None
    config_file: Path | None
    ssh_options: Sequence[str] | None
    banner_timeout: float | None
    legacy_algorithms: bool | None
    host_key: Names | None
    host_key_alias: str | None
    global_knownhosts: Paths | None
    hash_known_hosts: bool | None
    revoked_host_keys: Paths | None
    address_family: str | None
    bind_address: str | None
    connection_attempts: int | None
    identity_files: Sequence[Path] | None
    proxy: str | None
    proxy_jump: str | Mapping[str, Any] | Sequence[str | Mapping[str, Any]] | None
    proxy_jump_logins: int | None
    proxy_use_fdpass: bool | None
    unix_socket: Path | None
    send_env: Sequence[str] | None
    set_env: Mapping[str, str] | None
    auth_timeout: float | None
    kbdint_answers: Mapping[str, Any] | None
    kbdint_callback: Callback | None
    identities: Paths | None
    identities_only: bool | None
    agent: bool | str | None
    certificate: Text | None
    certificate_file: Paths | None
    forward_agent: bool | str | None
    notify_callback: Callable[[str], object] | None
    pkcs11_pins: Mapping[str, Text] | None
    pkcs11_provider: Path | None
    prompt_callback: Ask | None
    security_key_provider: Path | None
    gss_auth: bool | None
    preferred_authentications: Names | None
    server_alive_interval: float | None
    server_alive_count_max: int | None
