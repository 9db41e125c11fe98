#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# run-isolated.sh COMMAND...: run it (pytest, molecule, a shell) in network, mount and PID namespaces of its own. Needs root.
#
# There is only loopback in there, and what the tests make: no packet leaves the machine, and its firewall stays as it is. When
# the command ends, or this script is ended by a signal, every process and every mount below it is gone.
set -eu
# Ctrl-C at a terminal reaches the command, too, which ends in its own way; this script waits for it.
trap : INT
# unshare holds signals back, so it is not this process, but dies with it, and the namespaces with unshare.
setpriv --pdeathsig KILL unshare --net --mount --pid --fork --kill-child --mount-proc --propagation private sh -c '
    ip link set lo up
    umount /sys/fs/cgroup/unified 2>/dev/null || true # crun up to 1.8 refuses a hybrid cgroup layout
    mkdir -p /run/netns
    mount -t tmpfs -o mode=755 tmpfs /run/netns
    "$@"' sh "$@"
