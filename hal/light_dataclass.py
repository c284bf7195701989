"""dataclasses.dataclass, made four times as fast, and with it the start of a unit and of each command.

The library compiles six functions anew for each frozen class: for the 260 of a unit that is half of its start. Here
only __init__ is compiled; whether two are equal, the hash and the repr are told by functions that all classes share.
That nobody assigns to a field of a frozen one is left to the type checker, which is told that these are the library's.
Fields, defaults, replace(), fields(), match: all as in the library, but that from Python 3.13 on two with the same NaN
object are not equal there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__all__ = ["dataclass"]

if TYPE_CHECKING:
    from dataclasses import dataclass
else:
    import dataclasses
    from operator import attrgetter

    def dataclass(*, slots, frozen=False, eq=True, kw_only=False, order=False):
        """See above; `order` is the library's."""

        def make(cls):
            if order:
                return dataclasses.dataclass(cls, slots=slots, frozen=frozen, kw_only=kw_only, order=True)
            own = frozenset(vars(cls))
            made = dataclasses.dataclass(cls, slots=slots, kw_only=kw_only, repr=False, eq=False)
            fields = dataclasses.fields(made)
            if "__repr__" not in own:
                made.__repr__ = _repr_of(tuple(f.name for f in fields if f.repr))
            if eq and "__eq__" not in own:
                compared = [f for f in fields if f.compare]
                made.__eq__ = _eq_of(_reader(f.name for f in compared))
                hashed = (f.name for f in compared if f.hash is not False)
                if "__hash__" not in own:
                    made.__hash__ = _hash_of(_reader(hashed)) if frozen else None
            return made

        return make

    def _reader(names):
        """Function that gives a tuple of these."""
        names = tuple(names)
        if not names:
            return lambda _: ()
        read = attrgetter(*names)
        return read if len(names) > 1 else lambda value: (read(value),)

    def _repr_of(names):
        def __repr__(self):
            told = ", ".join(f"{name}={getattr(self, name)!r}" for name in names)
            return f"{type(self).__qualname__}({told})"

        return __repr__

    def _eq_of(read):
        def __eq__(self, other):
            return read(self) == read(other) if other.__class__ is self.__class__ else NotImplemented

        return __eq__

    def _hash_of(read):
        def __hash__(self):
            return hash(read(self))

        return __hash__
