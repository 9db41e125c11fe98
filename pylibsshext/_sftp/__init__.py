# SPDX-License-Identifier: LGPL-2.1-or-later
"""SFTP version 3, in layers: protocol (no I/O), client (one channel), bulk data, files and trees."""
