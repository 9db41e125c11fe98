#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# The first process of an instance: makes its user, then becomes the server on port $1 of 127.0.0.1. Its keys are in /instance.
set -eu
id ansible >/dev/null 2>&1 || useradd -m -s /bin/bash ansible
usermod -p '*' ansible
echo 'ansible ALL=(ALL) NOPASSWD:ALL' >/etc/sudoers.d/ansible
mkdir -p /run/sshd
exec /usr/sbin/sshd -D -e -f /dev/null -o "ListenAddress 127.0.0.1:$1" -o 'HostKey /instance/host_key' -o 'UsePAM no' \
    -o 'AuthorizedKeysFile /instance/user_key.pub' -o 'StrictModes no' -o 'PasswordAuthentication no' -o 'PidFile none' \
    -o "Subsystem sftp internal-sftp"
