# SPDX-License-Identifier: LGPL-2.1-or-later
"""The protocol that ``scp -t`` and ``scp -f`` speak (rcp's, of 1982), and transfers over it."""
