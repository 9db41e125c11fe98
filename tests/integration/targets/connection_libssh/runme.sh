#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Run by "ansible-test integration connection_libssh"; INVENTORY names another inventory of hosts to try.

set -eux

ansible-playbook test_connection.yml -i "${INVENTORY:-test_connection.inventory}" -v "$@"
