"""What the light dataclasses of hal/light_dataclass.py do is what those of the library do."""

import copy
import dataclasses
import pickle
from dataclasses import field
from itertools import product

import pytest

from hal.light_dataclass import dataclass

NAN = float("nan")
KINDS = {
    "frozen": {"frozen": True, "slots": True},
    "mutable": {"slots": True},
    "by name only": {"frozen": True, "slots": True, "kw_only": True},
    "by identity": {"slots": True, "eq": False},
    "in order": {"frozen": True, "slots": True, "order": True},
}


def classes(decorator, options):
    """One with fields of all sorts, one that inherits it, one with a single field, one with none, one with its own."""

    @decorator(**options)
    class Picture:
        number: int
        sizes: tuple = ()
        secret: bytes = field(default=b"", repr=False)
        seen: list = field(default_factory=list, compare=False)
        told: dict = field(default_factory=dict, hash=False)

    @decorator(**options)
    class Copy(Picture):
        unit: int = 7

    @decorator(**options)
    class Single:
        it: object

    @decorator(**options)
    class Empty:
        pass

    @decorator(**options)
    class Own:
        number: int

        def __repr__(self):
            return "own"

        def __eq__(self, other):
            return True

        def __hash__(self):
            return 1

    return Picture, Copy, Single, Empty, Own


def values(decorator, options):
    """Some of each that are alike in part."""
    picture, copied, single, empty, own = classes(decorator, options)
    parts = product((1, 2), ((), (3,)), (b"", b"x"))
    return [
        *(picture(number=n, sizes=sizes, secret=secret, seen=[n], told={n: 1}) for n, sizes, secret in parts),
        *(copied(number=1, unit=unit) for unit in (7, 8)),
        *(single(it=it) for it in (1, 1.0, NAN, "1", None)),
        *(empty(), empty(), own(number=1), own(number=2)),
    ]


def told(call):
    """What comes of it, errors too."""
    try:
        return call()
    except TypeError as error:
        return type(error)


@pytest.mark.parametrize("options", KINDS.values(), ids=KINDS)
def test_values_are_equal_hash_and_show_as_those_of_the_library(options):
    ours, theirs = values(dataclass, options), values(dataclasses.dataclass, options)
    assert [repr(one) for one in ours] == [repr(one) for one in theirs] or not options.get("eq", True)
    assert [[a == b for b in ours] for a in ours] == [[a == b for b in theirs] for a in theirs]
    if options.get("eq", True):
        assert [told(lambda one=one: hash(one)) for one in ours] == [told(lambda one=one: hash(one)) for one in theirs]
    assert [told(lambda a=a: a < ours[0]) for a in ours[:8]] == [told(lambda a=a: a < theirs[0]) for a in theirs[:8]]


@pytest.mark.parametrize("options", KINDS.values(), ids=KINDS)
def test_classes_have_the_same_fields_slots_and_patterns(options):
    for ours, theirs in zip(classes(dataclass, options), classes(dataclasses.dataclass, options), strict=True):
        assert [f.name for f in dataclasses.fields(ours)] == [f.name for f in dataclasses.fields(theirs)]
        assert ours.__slots__ == theirs.__slots__
        assert ours.__match_args__ == theirs.__match_args__
        assert (ours.__hash__ is None) == (theirs.__hash__ is None)


def test_replace_copy_and_asdict_work():
    picture, *_ = classes(dataclass, KINDS["mutable"])
    one = picture(1, (2,))
    assert dataclasses.replace(one, number=4) == picture(4, (2,))
    assert copy.deepcopy(one) == one
    assert dataclasses.asdict(one)["sizes"] == (2,)


@dataclass(frozen=True, slots=True)
class Kept:
    """At the top of a module, as pickle wants it."""

    number: int


def test_a_frozen_value_goes_to_another_process_and_back():
    assert pickle.loads(pickle.dumps(Kept(3))) == Kept(3)
