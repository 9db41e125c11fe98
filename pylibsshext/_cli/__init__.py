# SPDX-License-Identifier: LGPL-2.1-or-later
"""The commands of ``python -m pylibsshext`` that move files."""
