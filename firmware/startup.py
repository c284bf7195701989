"""Start-up: whose card it is, catalogue and files made to fit, counters that only rise (HANDOVER §1, DESIGN §8)."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import NamedTuple

from firmware.catalogue import Catalogue, CatalogueDamaged
from firmware.catalogue_home import CatalogueHome
from firmware.events import Memory
from firmware.layout import HELD, IDENTITY, OWN, PART_SUFFIX, PREVIEW, QUARANTINE, TMP, own_directory_of
from firmware.pictures import MAX_CARD, Entry
from firmware.reconcile import Notices, Reconciliation, tidy_parts, tidy_previews
from firmware.store import Store
from hal.errors import CardError, CardFull, CardReadOnly
from hal.interfaces import Card

MAX_IDENTITY_BYTES = 200  # the file has two short lines
FIRST_BOOTS = 2**31  # a new catalogue's boot number is drawn below this, so that it can rise as often again
_IDENTITY = re.compile(r"card ([0-9a-f]{4})\nunit ([0-9]{1,5})\n")
_IDENTITY_PART = f"{TMP}/{IDENTITY}{PART_SUFFIX}"


class Identity(NamedTuple):
    """What the card says of itself: number of its next pictures, and the unit that it belongs to."""

    card: int
    unit: int


class Started(NamedTuple):
    """Result of start_up(). notices: whole sentences for log and status; those that begin with LOST are alarms."""

    store: Store
    catalogue: Catalogue
    memory: Memory
    notices: list[str]


def start_up(
    card: Card,
    home: CatalogueHome,
    unit: int,
    rng: random.Random,
    *,
    copies: int,
    priority_copies: int,
    acts_for: Callable[[bytes], frozenset[int] | None] = lambda _: None,
    wall: Callable[[], float] = time.time,
) -> Started:
    """Everything that must be true before the unit says its first word; the boot number is committed on return.

    Takes 2 s per 10,000 pictures, but where the catalogue has to be rebuilt: then every file is read. acts_for: given
    the roster that the catalogue keeps, units gone for good that this one acts for (R10); None: as before. wall: Unix
    seconds, for the age of kept parts. Raises CardError where the card cannot be used at all.
    """
    notices = Notices()
    store = Store(card, unit)
    _make_directories(store, notices)
    identity = _read_identity(store, notices)
    if identity is not None and identity.unit != unit:
        text = f"the card was unit {identity.unit}'s; its own pictures stay untouched in own/"
        notices.add(f"{text}, and this unit takes a new card number")

    def fitted() -> tuple[Catalogue, Memory]:
        catalogue = home.open()
        try:
            lost = _fit(catalogue, store, identity, rng, notices, acts_for)
            partial_bytes = tidy_parts(store, catalogue, wall(), notices)
            tidy_previews(store, catalogue, notices)
            memory = _memory(catalogue, copies, priority_copies)
        except CardError:
            catalogue.close()
            raise
        return catalogue, replace(memory, partial_bytes=partial_bytes, lost_held=lost)

    try:
        catalogue, memory = fitted()
    except CatalogueDamaged as error:  # it may show when it is opened, or only when a row is read
        notices.add(f"{error.what}; it was moved to {home.set_aside()} and was rebuilt from the pictures on the card")
        catalogue, memory = fitted()
    store.saw(memory.largest_bytes)
    return Started(store, catalogue, memory, notices.all())


def _memory(catalogue: Catalogue, copies: int, priority_copies: int) -> Memory:
    """Counters and sums of a catalogue that fits; commits the boot number. Without parts and lost ones."""
    card = catalogue.counter("card", 0)
    boot = catalogue.counter("boot", 0) + 1
    sequence = max(catalogue.counter("sequence", 0), catalogue.highest_sequence(card))
    new = bool(catalogue.counter("fresh", 0))
    catalogue.set_counters(boot=boot, sequence=sequence, fresh=0)
    own_bytes, cache_bytes = catalogue.own_bytes(copies, priority_copies)
    age_s = catalogue.take_up_time()
    return Memory(
        boot=boot,
        card=card,
        sequence=sequence,
        next_attempt=catalogue.counter("next_attempt", 1),
        own_bytes=own_bytes,
        cache_bytes=cache_bytes,
        held_bytes=catalogue.held_bytes(),
        partial_bytes=0,
        largest_bytes=catalogue.largest_bytes(),
        new_catalogue=new,
        inventoried=catalogue.inventoried(),
        roster=catalogue.roster(),
        acts_for=catalogue.acts_for,
        recollected=catalogue.recollected(),
        keepers=tuple(catalogue.keepers().items()),
        age_s=age_s,
        heard=catalogue.heard(age_s),
        scrub_due_s=catalogue.counter("scrub_due", 0),
        scrub_after=catalogue.scrub_after(),
        surplus_due_s=catalogue.counter("surplus_due", 0),
        held_by=catalogue.held_by(),
    )


def _make_directories(store: Store, notices: Notices) -> None:
    """The card's directories; what stands in the place of one, a file or a link to nothing, is put aside."""
    for directory in (QUARANTINE, OWN, HELD, PREVIEW, TMP):
        try:
            store.card.make_directory(directory)
        except (CardFull, CardReadOnly):
            raise
        except CardError:
            if not any(entry.name == directory and not entry.is_directory for entry in store.card.entries("")):
                raise
            notices.add(f"{directory} was no directory; it was moved to {_clear_the_way(store, directory)}")
            store.card.make_directory(directory)


def _clear_the_way(store: Store, name: str) -> str:
    """Where it is now. What stands in the place of quarantine/ goes beside it first."""
    if name == QUARANTINE:
        there = {entry.name for entry in store.card.entries("")}
        name = next(free for n in range(1, len(there) + 2) if (free := f"{QUARANTINE}.{n}") not in there)
        store.card.rename(QUARANTINE, name)
    return store.put_aside(name)


# ---------------------------------------------------------------- catalogue


def _fit(
    catalogue: Catalogue,
    store: Store,
    identity: Identity | None,
    rng: random.Random,
    notices: Notices,
    acts_for: Callable[[bytes], frozenset[int] | None],
) -> tuple[Entry, ...]:
    """Catalogue, files and identity made to fit one another; the held entries that are lost."""
    owner = catalogue.counter("unit", store.unit)
    if owner != store.unit:
        raise CatalogueDamaged(f"the catalogue is unit {owner}'s")
    if not catalogue.counter("card", 0):
        card, boot = _new_card_number(store, identity, rng), rng.randrange(1, FIRST_BOOTS)
        catalogue.set_counters(unit=store.unit, card=card, boot=boot, next_attempt=1, complete=0, fresh=1)
    if (origins := acts_for(catalogue.roster())) is not None:
        with suppress(CardFull):  # the unit tells; a later start does it
            catalogue.act_for(origins)
    lost = Reconciliation(store, catalogue, notices).run()
    named = Identity(catalogue.counter("card", 0), store.unit)
    if identity != named:
        _write_identity(store, named)
    return lost


def _new_card_number(store: Store, identity: Identity | None, rng: random.Random) -> int:
    """1 to 0xffff, none that this card has seen: its old catalogue's sequence is not known any more."""
    found = [own_directory_of(entry.name) for entry in store.card.entries(OWN)]
    taken = {name[1] for name in found if name is not None}
    if identity is not None:
        taken.add(identity.card)
    return free_number(taken, rng)


def free_number(taken: set[int], rng: random.Random) -> int:
    """1 to 0xffff, at random, none of those taken. Raises CardError where there is none."""
    taken = taken - {0}
    if len(taken) == MAX_CARD:
        raise CardError("every card number is used up on this card", can="take a new card")
    number = rng.randint(1, MAX_CARD - len(taken))  # the how-manieth of those that are free
    for other in sorted(taken):
        number += other <= number
    return number


# ---------------------------------------------------------------- identity


def _read_identity(store: Store, notices: Notices) -> Identity | None:
    """None on a new card; what is not an identity is put aside."""
    try:
        found = _IDENTITY.fullmatch(_text_of(store.card, IDENTITY))
    except FileNotFoundError:
        return None
    except CardError:
        found = None  # a directory, a link, or beyond reading
    if found is None:
        with suppress(FileNotFoundError):  # there is none, and the card could not say so at once
            notices.add(f"the card's identity file is damaged; it was moved to {store.put_aside(IDENTITY)}")
        return None
    return Identity(int(found[1], 16), int(found[2]))


def _text_of(card: Card, path: str) -> str:
    file = card.open(path)
    try:
        return file.read(0, MAX_IDENTITY_BYTES).decode("ascii", "replace")
    finally:
        file.close()


def _write_identity(store: Store, identity: Identity) -> None:
    """The recipe of HANDOVER §1: whole or not at all."""
    card, text = store.card, f"card {identity.card:04x}\nunit {identity.unit}\n".encode("ascii")
    try:
        card.unlink(_IDENTITY_PART)
    except FileNotFoundError:
        pass
    except CardError:
        with suppress(FileNotFoundError):  # as above
            store.put_aside(_IDENTITY_PART)  # a directory
    file = card.create(_IDENTITY_PART, len(text))
    try:
        file.write(0, text)
        file.sync()
    finally:
        file.close()
    card.rename(_IDENTITY_PART, IDENTITY)
    card.sync_directory("")
