# SPDX-License-Identifier: LGPL-2.1-or-later
"""All tests, and the lab that gives them servers."""
