# SPDX-License-Identifier: LGPL-2.1-or-later
"""The connection holder: sessions that outlive the process that made them, as OpenSSH's ControlPersist does it.

A small process of the user's own holds the sessions, and `client.MuxSession`, in any other process of that user, opens
channels on them over a Unix socket.  It is started when it is needed and ends by itself.  ``docs/holder.md`` has the design.

client      what a program uses: `MuxSession`, in the shape of `session.Session`
channel     a channel of the holder's in the client, over pipes, in the shape of the core's
files       whole files by the holder's own SFTP
identity    when two connections are the same one
paths       where the holder is found, and whether that place can be trusted
start       connect to the holder, start one if there is none
protocol    messages between the two
holder      the process: who comes in, who goes, when it ends
service     one client in the holder
pool        the sessions in the holder
job         a command or a file on its way, in the holder
"""
