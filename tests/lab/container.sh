#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# The first process of a host that has a root file system of its own: makes the lab's accounts, then becomes the server.
# Any root file system will do that has an SSH server, useradd and chpasswd.
set -eu
LAB=/lab
mkdir -p /run/sshd /etc/sudoers.d
rm -f /run/nologin /etc/nologin

# The real root's home holds somebody's shell start-up.
sed -i 's|^\(root:[^:]*:[^:]*:[^:]*:[^:]*\):[^:]*:[^:]*$|\1:/home/root:/bin/bash|' /etc/passwd
mkdir -p -m 700 /home/root

while IFS=: read -r name uid hash sudo; do
    id "$name" >/dev/null 2>&1 || useradd -m -s /bin/bash -u "$uid" -U "$name"
    echo "$name:$hash" >&3
    [ -z "$sudo" ] || echo "$name ALL=(ALL) $sudo" >"/etc/sudoers.d/$name"
done <$LAB/accounts 3>/run/passwords
chpasswd -e </run/passwords
rm /run/passwords

# A wrong password shall be refused at once, not after two seconds.
sed -i 's/^\(auth[[:space:]].*pam_unix\.so\)/\1 nodelay/' /etc/pam.d/* 2>/dev/null || true

[ ! -e $LAB/setup.sh ] || sh $LAB/setup.sh
exec sh $LAB/server.sh 0.0.0.0 22
