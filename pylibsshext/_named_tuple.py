# SPDX-License-Identifier: LGPL-2.1-or-later
"""`typing.NamedTuple`, made without the compiler.

That one compiles the annotation of every field, which nobody asks for at run time: 3 ms for the classes that a login needs, a tenth of
what it takes to load them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__all__ = ["NamedTuple"]

if TYPE_CHECKING:
    from typing import NamedTuple
else:
    from collections import namedtuple

    class _Maker(type):
        """Makes of a class with annotations what `collections.namedtuple` makes of their names."""

        def __new__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> type:
            if not bases:  # NamedTuple itself
                return super().__new__(cls, name, bases, namespace)
            fields = list(namespace.get("__annotations__", ()))
            defaults = [namespace.pop(field) for field in fields if field in namespace]
            base = namedtuple(name, fields, defaults=defaults, module=namespace["__module__"])  # noqa: PYI024
            return type(name, (base,), {"__slots__": (), **namespace})

    class NamedTuple(metaclass=_Maker):
        """The base of such a class."""
