"""What befalls a unit of the model beyond cuts and kills, so many times in one history: cards, catalogues, rot, lies.

A trouble that by itself may lose the picture (HANDOVER R14) is left out where it would: the last whole copy is not
hurt, and an own file rots only while a listed holder has its copy, for an unlisted one may be about to go.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from firmware.pictures import File
from hal.light_dataclass import dataclass
from sim.model import host as hosts
from sim.model import origin
from sim.model.host import Host
from sim.model.options import Options
from sim.model.origin import Origin
from sim.model.values import PICTURE, Disk, Message

KINDS = (
    "origin_cards",
    "origin_catalogues",
    "own_rots",
    "host_cards",
    "host_catalogues",
    "held_rots",
    "lies",
    "deletes",
)
DELETES = KINDS.index("deletes")


@dataclass(frozen=True, slots=True)
class History:
    """What has happened so far, as far as it decides what must hold. left: of each of KINDS how often it may come.

    deleted: a person has ordered it. sure: another unit has had the tombstone. unsure: the origin has forgotten it
    while that was not so: it may come back. forgot: the origin's list was lost while it had no file, so that it names
    nobody until hosts are heard. began_anew: its list was lost, and every unit that is heard is asked.
    """

    left: tuple[int, ...]
    deleted: bool = False
    sure: bool = False
    unsure: bool = False
    forgot: bool = False
    began_anew: bool = False

    def less(self, kind: str, **changes: bool) -> History:
        """One trouble of this kind later."""
        number = KINDS.index(kind)
        left = (*self.left[:number], self.left[number] - 1, *self.left[number + 1 :])
        return replace(self, left=left, **changes)


def none_yet(options: Options) -> History:
    """Before the first."""
    return History(tuple(getattr(options, kind) for kind in KINDS))


@dataclass(frozen=True, slots=True)
class Hurt:
    """What a trouble leaves. restarted: whose power went with it; None: nobody's."""

    history: History
    at: Origin
    hosts: tuple[Host, ...]
    label: str
    restarted: int | None = None
    said: tuple[Message, ...] = ()
    forgotten: int | None = None  # the host whose answers on the way were reckoned from what is gone


def is_there(at: Host) -> bool:
    """Whether it has the picture: row and file, or a file that the catalogue is being rebuilt from."""
    return at.disk is Disk.WHOLE and ((at.held is not None and at.held.picture == PICTURE) or not at.complete)


def hurts(options: Options, history: History, at: Origin, units: Sequence[Host]) -> Iterator[Hurt]:
    """Every trouble that may come now, but for deletes, which the origin itself carries out."""
    may = {kind for kind, left in zip(KINDS, history.left, strict=True) if left}
    if not may:
        return
    if at.entry is not None:
        yield from _of_the_origin(may, history, at, tuple(units))
    for number in range(options.hosts):
        others = origin_has_it(at) or any(
            is_there(other) and lists(at, other.unit) for other in units if other is not units[number]
        )
        for changed, stale, kind, label in _of_a_host(may, units[number], others or history.deleted):
            stale_units = tuple(sorted({*at.stale, changed.unit})) if stale and listed(at, changed.unit) else at.stale
            liars = tuple(sorted({*at.liars, changed.unit})) if kind == "lies" else at.liars
            quiet = kind in ("lies", "held_rots")
            after, said = (changed, ()) if quiet else hosts.restart(changed)
            now = (*units[:number], after, *units[number + 1 :])
            hurt = replace(at, stale=stale_units, liars=liars)
            whose = (None, (), changed.unit) if quiet else (changed.unit, said, None)
            yield Hurt(history.less(kind), hurt, now, f"unit {changed.unit}: {label}", *whose)


def origin_has_it(at: Origin) -> bool:
    """Whether the own file counts."""
    return at.disk is Disk.WHOLE and at.entry is not None and at.entry.file is not File.GONE


def listed(at: Origin, unit: int) -> bool:
    """Whether the list names it."""
    return at.entry is not None and bool(at.entry.copy_at(unit).listed)


def lists(at: Origin, unit: int) -> bool:
    """Whether the list names it, and not only because it has proved a copy that it has lost since."""
    return listed(at, unit) and unit not in at.stale


def _of_the_origin(may: set[str], history: History, at: Origin, units: tuple[Host, ...]) -> Iterator[Hurt]:
    assert at.entry is not None
    somewhere = any(is_there(unit) for unit in units)
    proved = any(is_there(unit) and lists(at, unit.unit) for unit in units)
    unsure = history.deleted and not history.sure
    if "origin_cards" in may and (somewhere or history.deleted):
        history_now = history.less("origin_cards", unsure=unsure or history.unsure, forgot=True, began_anew=True)
        yield Hurt(history_now, Origin(None, 1, Disk.NONE), units, "origin: its card is lost", restarted=1)
    if "origin_catalogues" in may and (somewhere or history.deleted or at.disk is Disk.WHOLE):
        forgot = history.forgot or at.disk is not Disk.WHOLE
        history_now = history.less("origin_catalogues", unsure=unsure or history.unsure, forgot=forgot, began_anew=True)
        started = origin.restart(Origin(None, 1, at.disk))
        yield Hurt(history_now, started, units, "origin: its catalogue is lost", restarted=1)
    if "own_rots" in may and proved and at.disk is Disk.WHOLE:
        yield Hurt(history.less("own_rots"), replace(at, disk=Disk.ROTTEN), units, "origin: its file rots")


def _of_a_host(may: set[str], at: Host, others: bool) -> Iterator[tuple[Host, bool, str, str]]:
    """The host after it, whether its copy is lost, what it was."""
    there = is_there(at)
    if "host_cards" in may and there and others:
        yield Host(at.unit), True, "host_cards", "its card is lost"
    if "host_catalogues" in may and at.row is not None:
        yield Host(at.unit, None, at.disk, complete=False), False, "host_catalogues", "its catalogue is lost"
    if "held_rots" in may and there and others:
        yield replace(at, disk=Disk.ROTTEN), True, "held_rots", "its copy rots"
    if "lies" in may and there and others and not at.lied:
        yield replace(at, disk=Disk.NONE, lied=True), True, "lies", "throws its copy away and says nothing"
