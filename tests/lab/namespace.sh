#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Run in fresh mount, PID, UTS and IPC namespaces: gives them a root file system (an overlay over $2, changes kept in $1/upper),
# and starts container.sh in it.
set -eu
LAB=$1 LOWER=$2 NAME=$3
ROOT=$LAB/root
hostname "$NAME"
mount -t overlay overlay -o "lowerdir=$LOWER,upperdir=$LAB/upper,workdir=$LAB/work" "$ROOT"
cd "$ROOT"
mkdir -p lab proc sys run tmp dev
mount --bind "$LAB" lab
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=1777 tmpfs tmp
mount -t tmpfs -o mode=755 tmpfs dev
for device in null zero full random urandom tty; do
    : >dev/$device
    mount --bind /dev/$device dev/$device
done
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
ln -s fd/0 dev/stdin
ln -s fd/1 dev/stdout
ln -s fd/2 dev/stderr
rm -f etc/resolv.conf # nobody shall be asked for names
echo "$NAME" >etc/hostname
echo "127.0.0.1 localhost $NAME" >etc/hosts
mkdir -p .old
pivot_root . .old
cd /
umount -l .old
rmdir .old
exec sh /lab/container.sh
